import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createFetch } from '../../action/fetch.ts'
import { createStepLister } from '../../action/list-steps.ts'
import type { Workflow } from '../../action/runner.ts'

/** What asks a GitHub that answers so. */
async function openLister(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const workflow = { apiUrl: `http://${host}`, action: 'org/port-webhook-action@v1' } as Workflow
  const list = createStepLister(
    workflow,
    { token: 't', checkRunId: '7' },
    { fetch: createFetch(), clock: Date.now },
  )
  return { host, list }
}

test.each<[string, RequestListener, string]>([
  ['a page', (_, response) => response.end('<html>Log in</html>'), 'what came is no list of jobs'],
  ['nothing', (_, response) => response.end(), 'what came is no list of jobs'],
  ['a cut connection', request => request.socket.destroy(), 'ECONNRESET'],
])('%s in place of the jobs is an error that says so', async (_, answer, reason) => {
  const { host, list } = await openLister(answer)
  await expect(list()).rejects.toThrow(
    new Error(`GitHub's API at ${host} did not answer as it should: ${reason}.`),
  )
})

test.each([
  [100, 1],
  [201, 3],
  [undefined, 1],
])('of %s jobs, none of them this one, %i pages are read, however full they are', async (total, pages) => {
  let asked = 0
  const jobs = Array.from({ length: 100 }, (_, id) => ({ id: id + 100, status: 'completed' }))
  const { list } = await openLister((_, response) => {
    asked++
    if (asked > 5) response.destroy()
    else response.end(JSON.stringify({ total_count: total, jobs }))
  })
  expect(await list()).toBeNull()
  expect(asked).toBe(pages)
})
