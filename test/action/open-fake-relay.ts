import { Hono } from 'hono'
import { onTestFinished } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { PROBLEM_TYPE, Problem, sendProblem } from '../../relay/http/problem.ts'
import { type FakeServer, type FakeServerEnv, startFakeServer } from '../../simulator/http-server.ts'

/** A server that acts as the relay and as the runner's endpoint. Tests can make it fail. */
export async function openFakeRelay(secrets: JsonObject = { password: 'clear' }): Promise<FakeServer> {
  const app = new Hono<FakeServerEnv>()
  const run = { status: 'in_progress', ended: false, synchronized: false, external_run_id: null }
  const started = { token: 'report-token', reports: true, run, payload: null, secrets }
  app.get('/idtoken', c => c.json({ value: `proof for ${c.req.query('audience')}` }))
  app.post('/report/start', c => c.json(started))
  // The token `expired` is refused as expired. The pattern also matches /report itself.
  app.use('/report/*', async (c, next) => {
    if (c.req.header('authorization') !== 'Bearer expired') return next()
    return sendProblem(c, new Problem(401, 'It has expired.'))
  })
  app.post('/report/inputs', c => c.json({ payload: null, secrets }))
  app.post('/report', async c => {
    const renewed = c.req.header('authorization') === 'Bearer half over' ? { token: 'renewed' } : {}
    return c.json({ delivery: 'd_1', number: (await c.req.json()).number, ...renewed }, 202)
  })
  const server = await startFakeServer(app, status => ({
    body: { status, detail: `Error ${status}.` },
    headers: PROBLEM_TYPE,
  }))
  onTestFinished(() => server.close())
  return server
}

/** The bodies of the reports that arrived. */
export const messagesTo = ({ requests }: FakeServer) =>
  requests.filter(({ path }) => path === '/report').map(({ body }) => body as Message)

interface Message {
  number: number
  sender: string
  reports: JsonObject[]
  finishing: boolean
}
