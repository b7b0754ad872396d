import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../relay/deliveries/worker.ts'
import { until } from '../support/until.ts'

interface Claim {
  id: string
  lease: number
}

test('a step under way whose delivery is claimed again, as after the process stood still, goes on under the new lease', async () => {
  const begun: Claim[] = []
  const end = Promise.withResolvers<void>()
  const claims: Claim[][] = [
    [{ id: 'd-1', lease: 1 }],
    [
      { id: 'd-1', lease: 2 },
      { id: 'd-2', lease: 1 },
    ],
  ]
  const worker = startWorker<Claim>(
    {
      name: 'test',
      claim: async () => claims.shift() ?? [],
      async step(claim) {
        begun.push(claim)
        await end.promise
      },
      concurrency: 5,
    },
    { error() {} },
  )
  onTestFinished(() => worker.stop())
  await until(() => begun.length > 0, 'the first step begins')
  worker.wake()
  await until(() => begun.some(({ id }) => id === 'd-2'), 'the second claim is taken')
  expect(begun).toEqual([
    { id: 'd-1', lease: 2 },
    { id: 'd-2', lease: 1 },
  ])
  end.resolve()
  await until(() => claims.length === 0, 'all is claimed')
  claims.push([{ id: 'd-1', lease: 3 }])
  worker.wake()
  await until(() => begun.length === 3, 'a delivery whose step has ended is begun again')
  await worker.stop()
})

test('a step under way hears that the worker is to stop, and the stop waits for it', async () => {
  const claims: Claim[] = [{ id: 'd-1', lease: 1 }]
  const heard = Promise.withResolvers<AbortSignal>()
  const ended: boolean[] = []
  const worker = startWorker<Claim>(
    {
      name: 'test',
      claim: async () => claims.splice(0),
      async step(_, stopping) {
        heard.resolve(stopping)
        await new Promise(resolve => stopping.addEventListener('abort', resolve))
        ended.push(true)
      },
      concurrency: 5,
    },
    { error() {} },
  )
  expect((await heard.promise).aborted).toBe(false)
  await worker.stop()
  expect(ended).toEqual([true])
})
