import { expect, onTestFinished, test, vi } from 'vitest'
import { repeat, startWorker, type WorkerDefinition } from '../../relay/workers/worker.ts'
import { until } from '../../simulator/http-server.ts'

interface Claim {
  id: string
  version: number
}
const log = { error() {} }

function start(concurrency: number, work: Pick<WorkerDefinition<Claim>, 'claim' | 'step'>) {
  const worker = startWorker<Claim>({ name: 'test', key: ({ id }) => id, concurrency, ...work }, log)
  onTestFinished(() => worker.stop())
  return worker
}

test('processes a delivery again right after a step if the delivery was claimed again during that step', async () => {
  const started: Claim[] = []
  const end = Promise.withResolvers<void>()
  const claims: Claim[][] = [
    [{ id: 'd-1', version: 1 }],
    [
      { id: 'd-1', version: 2 },
      { id: 'd-2', version: 1 },
    ],
  ]
  const worker = start(5, {
    claim: async () => claims.shift() ?? [],
    async step(claim) {
      started.push(claim)
      await end.promise
    },
  })
  await until(() => started.length > 0, 'the first step starts')
  worker.wake()
  await until(() => started.some(({ id }) => id === 'd-2'), 'the step of d-2 starts')
  expect(started).toEqual([
    { id: 'd-1', version: 1 },
    { id: 'd-2', version: 1 },
  ])
  end.resolve()
  await until(() => started.length === 3, 'the next step starts')
  expect(started.at(-1)).toEqual({ id: 'd-1', version: 2 })
  claims.push([{ id: 'd-1', version: 3 }])
  worker.wake()
  await until(() => started.length === 4, 'the step of d-1 starts again')
})

test('runs at most the allowed number of concurrent steps, and a failed step does not block other steps', async () => {
  let underWay = 0
  let most = 0
  let ended = 0
  let next = 0
  start(3, {
    claim: async limit =>
      Array.from({ length: Math.min(limit, 20 - next) }, () => ({ id: `d-${next++}`, version: 1 })),
    async step({ id }) {
      most = Math.max(most, ++underWay)
      await new Promise(resolve => setImmediate(resolve))
      underWay--
      ended++
      if (id === 'd-5') throw new Error('it fails')
    },
  })
  await until(() => ended === 20, 'all steps finish')
  expect(most).toBe(3)
})

test('the last change of a step and the end of the step together cause one claim', async () => {
  let claims = 0
  const worker = start(5, {
    claim: async () => (claims++ === 0 ? [{ id: 'd-1', version: 1 }] : []),
    async step() {
      await new Promise(resolve => setImmediate(resolve))
      worker.wake()
    },
  })
  const { busyAt } = worker.activity()
  await until(() => worker.activity().idleAt > busyAt, 'a claim finds no work')
  expect(claims).toBe(2)
})

test('signals a running step that the worker is stopping, and waits for the step to finish', async () => {
  const claims: Claim[] = [{ id: 'd-1', version: 1 }]
  const heard = Promise.withResolvers<AbortSignal>()
  const ended: boolean[] = []
  const worker = start(5, {
    claim: async () => claims.splice(0),
    async step(_, stopping) {
      heard.resolve(stopping)
      await new Promise(resolve => stopping.addEventListener('abort', resolve))
      ended.push(true)
    },
  })
  expect((await heard.promise).aborted).toBe(false)
  await worker.stop()
  expect(ended).toEqual([true])
})

test('checks for work when work is due, when woken, and every two seconds; checks are at least half a second apart', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const start = performance.now()
  const waits = [Number.POSITIVE_INFINITY, 700, 0]
  const checks: number[] = []
  const check = async () => {
    checks.push(performance.now() - start)
    return waits.shift() ?? Number.POSITIVE_INFINITY
  }
  const schedule = repeat('test', 2_000, log, check, 500)
  await vi.advanceTimersByTimeAsync(6_100)
  expect(checks).toEqual([500, 2_500, 3_200, 3_700, 5_700])
  schedule.wake()
  await vi.advanceTimersByTimeAsync(300)
  await schedule.stop()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(checks.slice(5)).toEqual([6_200])
})
