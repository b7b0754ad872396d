import { expect, test } from 'vitest'
import { createRetry, FINAL_EXTRA_MS } from '../../action/reporter/retry.ts'
import { PortError } from '../../port/client/client.ts'

/** A clock that sleeping moves. */
function openClock() {
  let now = 0
  const waits: number[] = []
  const sleep = async (ms: number) => {
    waits.push(ms)
    now += ms
  }
  return { clock: () => now, sleep, waits }
}

test('five tries, 1, 2, 4 and 8 s apart; after that each call has one', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  let tries = 0
  const call = () => Promise.reject(new PortError('unreachable', `Away ${++tries}.`))
  await expect(retry(call)).rejects.toThrow('Away 5.')
  await expect(retry(call)).rejects.toThrow('Away 6.')
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000])
})

test('where each answer names a time, as a relay does that is asked too fast, the budget alone bounds the tries', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  const later = () => Promise.reject(new PortError('later', 'Wait.', { retryAt: time.clock() + 7_000 }))
  await expect(retry(later)).rejects.toThrow('Wait.')
  expect(waits).toEqual(Array(8).fill(7_000))
})

test('waits as long as Port says, within the budget of all calls together', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  const responses = [20_000, 50_000, 90_000].map(retryAt => new PortError('later', 'Wait.', { retryAt }))
  await expect(retry(async () => Promise.reject(responses.shift()!))).rejects.toMatchObject({
    retryAt: 90_000,
  })
  expect(waits).toEqual([20_000, 30_000])
})

test('what no time will change is not tried again', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  await expect(retry(() => Promise.reject(new PortError('refused', 'No.')))).rejects.toThrow('No.')
  await expect(retry(() => Promise.reject(new TypeError('odd')))).rejects.toThrow('odd')
  expect(waits).toEqual([])
})

test('one that has given up waits again only where Port answers and says how long', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  const later = new PortError('later', 'Wait.', { retryAt: 90_000 })
  await expect(retry(() => Promise.reject(later))).rejects.toThrow('Wait.')
  const responses = [
    new PortError('later', 'Soon.', { retryAt: 5_000 }),
    new PortError('unreachable', 'Away.'),
  ]
  await expect(retry(() => Promise.reject(responses.shift()!))).rejects.toThrow('Away.')
  expect(waits).toEqual([5_000])
})

test('the last call of all may wait longer, and what must not be done twice is not', async () => {
  const { waits, ...time } = openClock()
  const retry = createRetry({ budgetMs: 60_000, ...time })
  const later = () => Promise.reject(new PortError('later', 'Wait.', { retryAt: 90_000 }))
  await expect(retry(later)).rejects.toThrow('Wait.')
  expect(waits).toEqual([])
  await expect(retry(later, { extraMs: FINAL_EXTRA_MS })).rejects.toThrow('Wait.')
  expect(waits).toEqual([90_000])
  const lost = () => Promise.reject(new PortError('unreachable', 'Lost.'))
  await expect(createRetry({ budgetMs: 60_000, ...time })(lost, { again: () => false })).rejects.toThrow(
    'Lost.',
  )
  expect(waits).toHaveLength(1)
})
