import { Hono, type MiddlewareHandler } from 'hono'
import { onTestFinished } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { PROBLEM_TYPE, Problem, sendProblem } from '../../relay/http/problem.ts'
import { type FakeServer, type FakeServerEnv, startFakeServer } from '../../tools/simulator/http-server.ts'

/** The relay refuses the token `expired` as expired. */
const expire: MiddlewareHandler = async (c, next) =>
  c.req.header('authorization') === 'Bearer expired'
    ? sendProblem(c, new Problem(401, 'It has expired.'))
    : next()

/** A server that acts as the relay and as the runner's endpoint. Tests can make it fail. */
export async function openFakeRelay(secrets: JsonObject = { password: 'clear' }): Promise<FakeServer> {
  const app = new Hono<FakeServerEnv>()
  const run = { status: 'in_progress', ended: false, synchronized: false, external_run_id: null }
  const started = { token: 'report-token', reports: true, run, payload: null, secrets }
  app.get('/idtoken', c => c.json({ value: `proof for ${c.req.query('audience')}` }))
  app.post('/report/start', c => c.json(started))
  app.use('/report/*', expire)
  app.post('/report/inputs', c => c.json({ payload: null, secrets }))
  app.post('/report', expire, async c => {
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
