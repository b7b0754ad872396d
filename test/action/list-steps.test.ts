import { createServer, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createFetch } from '../../action/runner/fetch.ts'
import { createStepLister } from '../../action/runner/list-steps.ts'
import type { Workflow } from '../../action/runner/runner.ts'

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

const authors = async (steps: [number, string][]) => {
  const { list } = await openLister((_, response) => {
    const listed = steps.map(([number, name]) => ({ number, name, status: 'completed' }))
    response.end(JSON.stringify({ total_count: 1, jobs: [{ id: 7, steps: listed }] }))
  })
  return (await list())!.steps.filter(step => step.authors).map(({ name }) => name)
}

test("the runner's own pre and post steps are not the author's, by their place and not by their name alone", async () => {
  expect(
    await authors([
      [1, 'Set up job'],
      [2, 'Pre Check out'],
      [3, 'Run org/port-webhook-action@v1'],
      [4, 'Check out'],
      [5, 'Pre Migrate'],
      [6, 'Migrate'],
      [7, 'Post Migrate'],
      [13, 'Post Check out'],
      [14, 'Post Run org/port-webhook-action@v1'],
      [15, 'Complete job'],
    ]),
  ).toEqual(['Check out', 'Pre Migrate', 'Migrate', 'Post Migrate'])
  expect(
    await authors([
      [1, 'Set up job'],
      [2, 'Migrate'],
      [3, 'Post Migrate'],
      [4, 'Complete job'],
    ]),
  ).toEqual(['Migrate', 'Post Migrate'])
})

test.each([
  [['Set up job', 'Pull alpine:3', 'Pull ghcr.io/acme/lint:1.2', 'Build acme/scan/docker@v1']],
  [['Set up job', 'Set up runner', 'Build acme/scan@9f2d', 'Initialize containers']],
])('with %j the runner begins a job: no step of the author is before this action', async prepared => {
  const names = [
    ...prepared,
    'Pre Run acme/scan@v1',
    'Run org/port-webhook-action@v1',
    'Build image',
    'Pull alpine',
    'Set up runner',
    'Run acme/scan@v1',
  ]
  const numbered = names.map((name, index): [number, string] => [index + 1, name])
  const after: [number, string][] = [
    [28, 'Post Run acme/scan@v1'],
    [29, 'Complete runner'],
    [30, 'Complete job'],
  ]
  expect(await authors([...numbered, ...after])).toEqual([
    'Build image',
    'Pull alpine',
    'Set up runner',
    'Run acme/scan@v1',
  ])
})

test("an author's own first step stays the author's, though it is called like one of the runner", async () => {
  for (const name of ['Build image', 'Pull the image', 'Pull images', 'Build shop for a@b']) {
    expect(
      await authors([
        [1, 'Set up job'],
        [2, name],
        [3, 'Build acme/scan@v1'],
      ]),
    ).toEqual([name, 'Build acme/scan@v1'])
  }
  expect(await authors([[1, 'Pull alpine']])).toEqual(['Pull alpine'])
})

test("GitHub's own examples of jobs have the steps of their authors", async () => {
  const all = createRequire(import.meta.url)('@octokit/webhooks-examples/api.github.com/index.json') as {
    examples: { workflow_job?: { steps: { number: number; name: string }[] } }[]
  }[]
  const jobs = all
    .flatMap(({ examples }) => examples.flatMap(example => example.workflow_job ?? []))
    .filter(({ steps }) => steps.some(({ name }) => name.startsWith('Post ')))
  expect(jobs).toHaveLength(3)
  for (const { steps } of jobs) {
    const names = steps.map(({ name }) => name)
    expect(await authors(steps.map(({ number, name }) => [number, name]))).toEqual(
      names.filter(name => !/^(Set up|Complete) job$|^Post /.test(name)),
    )
  }
})
