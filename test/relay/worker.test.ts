import { describe, expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../relay/deliveries/worker.ts'
import { writeHeld } from '../../relay/deliveries/write-held.ts'
import type { Held } from '../../relay/store/store.ts'
import { until } from '../support/until.ts'

interface Claim {
  id: string
  lease: number
  spent?: number
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

test('a claim of what a step left to do, answered before the step has ended, is begun when it has', async () => {
  const begun: number[] = []
  const claims: Claim[] = [{ id: 'd-1', lease: 1 }]
  const worker = startWorker<Claim>(
    {
      name: 'test',
      claim: async () => claims.splice(0),
      async step(claim) {
        const { lease } = claim
        begun.push(lease)
        if (lease > 1) return
        claim.spent = lease
        claims.push({ id: 'd-1', lease: 3 })
        worker.wake()
        await until(() => claim.lease === 3, 'the claim is answered')
      },
      concurrency: 5,
    },
    { error() {} },
  )
  onTestFinished(() => worker.stop())
  await until(() => begun.length === 2, 'it is begun')
  expect(begun).toEqual([1, 3])
})

test('but not where the worker is to stop: its lease runs out', async () => {
  const begun: number[] = []
  const answered = Promise.withResolvers<void>()
  const claims: Claim[] = [{ id: 'd-1', lease: 1 }]
  const worker = startWorker<Claim>(
    {
      name: 'test',
      claim: async () => claims.splice(0),
      async step(claim, stopping) {
        begun.push(claim.lease)
        claim.spent = 1
        claims.push({ id: 'd-1', lease: 3 })
        worker.wake()
        await until(() => claim.lease === 3, 'the claim is answered')
        answered.resolve()
        await new Promise(resolve => stopping.addEventListener('abort', resolve))
      },
      concurrency: 5,
    },
    { error() {} },
  )
  await answered.promise
  await worker.stop()
  expect(begun).toEqual([1])
})

describe('what is written under a lease', () => {
  /** Each write of them is answered so. */
  const write = async (held: Held, answers: (boolean | Error)[], meanwhile: () => void) => {
    const leases: number[] = []
    const written = await writeHeld(
      held,
      async () => {
        leases.push(held.lease)
        const answer = answers.shift()
        if (leases.length === 1) meanwhile()
        if (answer instanceof Error) throw answer
        return answer as boolean
      },
      5_000,
    )
    return { written, leases }
  }

  test('is written under the next one too, which this process has taken while it stood still', async () => {
    const held: Held = { lease: 1 }
    const next = () => void held.lease++
    expect(await write(held, [false, true], next)).toEqual({ written: true, leases: [1, 2] })
    const away: Held = { lease: 1 }
    const later = () => void away.lease++
    expect(await write(away, [new Error('away'), true], later)).toEqual({ written: true, leases: [1, 2] })
  })

  test('is not written again where it was, though its answer got lost: a claim since then says so', async () => {
    const held: Held = { lease: 1 }
    const claimed = () => {
      held.lease += 2
    }
    expect(await write(held, [new Error('away'), true], claimed)).toEqual({ written: false, leases: [1] })
    expect(held.spent).toBe(1)
  })
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
