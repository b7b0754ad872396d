import { expect, test } from 'vitest'
import type { Report } from '../../../relay/store/delivery.ts'
import type { Message, Store } from '../../../relay/store/store.ts'
import { acceptAll, aDispatched, aFailed, type Place } from '../place.ts'

const words = (message: string): Report => ({ log: [{ level: 'INFO', message }] })

export function tellingTests(place: Place): void {
  test('words for Port are claimed with their delivery, in order, under a lease of their own', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, { runId: 'r_words' })
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    expect(await store.report(id!, [words('one'), words('two')], 1000)).toBe(true)
    expect(await store.record(claimed!, { dueAt: 2000 }, 1001, [words('three')])).toBe(true)
    await Promise.all(
      Array.from({ length: 5 }, (_, i) => store.report(id!, [words(`${i}a`), words(`${i}b`)], 1002)),
    )
    const [telling, ...more] = await store.claimTelling(1002, 500, 10)
    expect(more).toEqual([])
    expect(telling).toMatchObject({ id, runId: 'r_words', repository: 'acme/shop', tries: 0 })
    const said = telling!.reports.map(
      ({ report }) => (report as { log: { message: string }[] }).log[0]!.message,
    )
    expect(said.slice(0, 3)).toEqual(['one', 'two', 'three'])
    for (let i = 3; i < 13; i += 2) expect(said[i + 1]).toBe(said[i]!.replace('a', 'b'))
    expect(await store.claimTelling(1501, 500, 10)).toEqual([])
    expect(await store.claimTelling(1502, 500, 10)).toHaveLength(1)
  })

  test('a long log is kept in parts of one request each, whoever adds it', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const log = Array.from({ length: 60 }, (_, i) => ({
      level: 'INFO' as const,
      message: `${i} ${'x'.repeat(7_900)}`,
    }))
    const [claimed] = await store.claimQueued(1000, 500, 10)
    await store.record(claimed!, { dueAt: 9e9 }, 1000, [{ log }])
    await store.report(id!, [{ log }], 1000)
    const [telling] = await store.claimTelling(1000, 500, 10)
    const parts = telling!.reports.map(({ report }) => (report as { log: typeof log }).log)
    expect(parts.length).toBeGreaterThan(4)
    for (const part of parts) expect(JSON.stringify(part).length).toBeLessThan(210_000)
    expect(parts.flat()).toEqual([...log, ...log])
  })

  test('what was said is gone, the rest is said later; failures in a row are counted', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    await store.report(id!, [words('one'), words('two')], 1000)
    const claim = async (now: number) => (await store.claimTelling(now, 500, 10))[0]!
    const first = await claim(1000)
    expect(await store.told(first, [], 3000)).toBe(true)
    expect(await store.claimTelling(2999, 500, 10)).toEqual([])
    const second = await claim(3000)
    expect(second.tries).toBe(1)
    expect(await store.told(second, [second.reports[0]!.seq], 4000)).toBe(true)
    const third = await claim(4000)
    expect(third).toMatchObject({ tries: 0, reports: [{ report: words('two') }] })
    expect(await store.told(first, [third.reports[0]!.seq], null)).toBe(false)
    expect(await store.told(third, [third.reports[0]!.seq], null)).toBe(true)
    expect(await store.claimTelling(9e9, 500, 10)).toEqual([])
  })

  test('words that come while others are being said are due at once', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    await store.report(id!, [words('one')], 1000)
    const [telling] = await store.claimTelling(1000, 500, 10)
    await Promise.all([
      store.told(telling!, [telling!.reports[0]!.seq], null),
      store.report(id!, [words('two')], 1100),
    ])
    expect(await store.claimTelling(1100, 500, 10)).toMatchObject([{ reports: [{ report: words('two') }] }])
  })

  /** A message of a delivery's run 7, attempt 1. */
  const message = (sender: string, number: number, more: Partial<Message> = {}): Message => ({
    sender,
    number,
    githubRunId: 7,
    githubRunAttempt: 1,
    finish: false,
    ...more,
  })

  /** A delivery that is bound to its run. */
  async function aBound(store: Store, githubRunId = 7): Promise<string> {
    const id = await aDispatched(store)
    await store.bindRun(id, githubRunId, 1, 1000)
    return id
  }

  test('a message that comes again, or late, does nothing; senders count for themselves', async () => {
    const store = await place.emptied()
    const [id, other] = [await aBound(store), await aBound(store, 8)]
    const first = message('a', 1)
    expect(await store.report(id, [words('one'), words('two')], 1000, first)).toBe(true)
    const again = await Promise.all(
      [0, 1, 2].map(() => store.report(id, [words('one'), words('two')], 1000, first)),
    )
    expect(again).toEqual([true, true, true])
    await store.report(id, [words('three')], 1000, message('a', 3))
    await store.report(id, [words('late')], 1000, message('a', 2, { finish: true }))
    expect((await store.get(id))?.state).toBe('running')
    await store.report(id, [words('four')], 1000, message('b', 1))
    await store.report(other, [words('other')], 1000, message('a', 1, { githubRunId: 8 }))
    const tellings = await store.claimTelling(1000, 500, 10)
    const said = (of: string) => tellings.find(telling => telling.id === of)?.reports.map(each => each.report)
    expect(said(id)).toEqual([words('one'), words('two'), words('three'), words('four')])
    expect(said(other)).toEqual([words('other')])
  })

  test('last words finish the delivery, in one with them; it is deleted with all that its senders left', async () => {
    const store = await place.emptied()
    const id = await aBound(store)
    const last = message('a', 1, { finish: true })
    await store.report(id, [words('end')], 1000, last)
    expect(await store.get(id)).toMatchObject({ state: 'finished', dueAt: null })
    const [telling] = await store.claimTelling(1000, 500, 10)
    await store.told(telling!, [telling!.reports[0]!.seq], null)
    expect(await store.purge(2000, 10)).toBe(1)
    expect(await store.report(id, [words('end')], 1000, last)).toBe(false)

    const failed = await aFailed(store)
    await store.bindRun(failed, 7, 1, 2000)
    expect(await store.report(failed, [], 1000, last)).toBe(true)
    expect((await store.get(failed))?.state).toBe('failed')
  })

  test('a message of a run or attempt that is over does nothing, whatever its sender said before', async () => {
    const store = await place.emptied()
    const failed = await aFailed(store)
    await store.bindRun(failed, 7, 1, 2000)
    expect(await store.report(failed, [words('one')], 2000, message('a', 1))).toBe(true)
    await store.redeliver(failed, 3000)
    const last = message('a', 2, { finish: true })
    expect(await store.report(failed, [words('end')], 3000, last)).toBe(false)
    expect((await store.get(failed))?.state).toBe('queued')
    await store.bindRun(failed, 9, 1, 4000)
    await store.bindRun(failed, 9, 2, 4000)
    const of = (githubRunAttempt: number) => message('a', 2, { githubRunId: 9, githubRunAttempt })
    expect(await store.report(failed, [words('end')], 4000, last)).toBe(false)
    expect(await store.report(failed, [words('end')], 4000, of(1))).toBe(false)
    expect(await store.claimTelling(4000, 500, 10)).toEqual([])
    expect(await store.report(failed, [words('new')], 4000, of(2))).toBe(true)
    expect(await store.claimTelling(4000, 500, 10)).toMatchObject([{ reports: [{ report: words('new') }] }])
  })

  test('there is nothing to add words to where there is no delivery', async () => {
    const store = await place.emptied()
    expect(await store.report('unknown', [words('one')], 1000)).toBe(false)
    expect(await store.claimTelling(1000, 500, 10)).toEqual([])
  })
}
