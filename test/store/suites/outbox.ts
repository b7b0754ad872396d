import { expect, test } from 'vitest'
import type { Message } from '../../../relay/delivery/delivery.ts'
import type { OutboxPage, Store } from '../../../relay/store/store.ts'
import { aDispatched, aLine, applyTo, type Place } from '../place.ts'

export function outboxTests(place: Place): void {
  test("claims a delivery's messages in order, under a lease that is separate from its poll lease", async () => {
    const store = await place.emptied()
    const id = await aDispatched(store, { runId: 'r_words' })
    await add(store, id, 'one', 'two')
    await add(store, id, 'three')
    const [page, ...more] = await store.claimOutboxes(1000, 500, 10)
    expect(more).toEqual([])
    expect(page).toMatchObject({
      ...{ delivery: id, runId: 'r_words', repository: 'acme/shop', reported: false, attempts: 0 },
    })
    expect(page!.messages.map(({ createdAt }) => createdAt)).toEqual([1000, 1000, 1000])
    expect(texts(page)).toEqual(['one', 'two', 'three'])
    expect((await store.claimPolls(5000, 10, 10)).map(each => each.id)).toEqual([id])
    expect(await store.claimOutboxes(1499, 500, 10)).toEqual([])
    expect(await store.claimOutboxes(1500, 500, 10)).toHaveLength(1)
  })

  test('a page contains at most 100 messages and 1 MB, or a single larger message', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const pages: number[] = []
    const drain = async () => {
      for (;;) {
        const [page] = await store.claimOutboxes(1000, 500, 10)
        if (!page) return pages.splice(0)
        pages.push(page.messages.length)
        await store.settleOutbox(page, { done: seqs(page) }, null, 1000)
      }
    }
    await add(store, id, ...Array.from({ length: 230 }, (_, i) => `line ${i}`))
    expect(await drain()).toEqual([100, 100, 30])
    await add(store, id, ...[400_000, 400_000, 400_000, 2_000_000, 10].map(length => 'x'.repeat(length)))
    expect(await drain()).toEqual([2, 1, 1, 1])
  })

  test('deletes sent messages, keeps the rest, and counts consecutive attempts that sent nothing', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    await add(store, id, 'one', 'two')
    const claim = async (now: number) => (await store.claimOutboxes(now, 500, 10))[0]!
    expect(await store.settleOutbox(await claim(1000), { done: [] }, 3000, 1000)).toBe(true)
    expect(await store.claimOutboxes(2999, 500, 10)).toEqual([])
    const second = await claim(3000)
    expect(second.attempts).toBe(1)
    expect(await store.settleOutbox(second, { done: seqs(second).slice(0, 1) }, 4000, 3000)).toBe(true)
    const third = await claim(4000)
    expect([third.attempts, texts(third)]).toEqual([0, ['two']])
    expect(await store.settleOutbox(third, { done: seqs(third) }, null, 4000)).toBe(true)
    expect(await store.claimOutboxes(9e12, 500, 10)).toEqual([])
  })

  test('the unsent rest of a message keeps the position of that message', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    await add(store, id, 'one', 'two', 'three')
    const [page] = await store.claimOutboxes(1000, 500, 10)
    const [one, two] = seqs(page)
    const rest = { seq: two!, message: { log: [{ level: 'INFO' as const, message: 'rest of two' }] } }
    expect(await store.settleOutbox(page!, { done: [one!], rest }, 4000, 1000)).toBe(true)
    const [next] = await store.claimOutboxes(4000, 500, 10)
    expect([next!.attempts, texts(next)]).toEqual([0, ['rest of two', 'three']])
    // Without the lease, settling changes nothing.
    const other = { seq: two!, message: { log: [{ level: 'INFO' as const, message: 'another rest' }] } }
    expect(await store.settleOutbox(page!, { done: [], rest: other }, null, 4000)).toBe(false)
    expect(texts((await store.claimOutboxes(4500, 500, 10))[0])).toEqual(['rest of two', 'three'])
  })

  test('settling after losing the lease changes nothing, even if the outbox was emptied in the meantime', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    await add(store, id, 'one')
    const [stale] = await store.claimOutboxes(1000, 500, 10)
    const [held] = await store.claimOutboxes(1500, 500, 10)
    expect(await store.settleOutbox(stale!, { done: seqs(stale) }, null, 1500)).toBe(false)
    expect(await store.settleOutbox(held!, { done: seqs(held) }, null, 1500)).toBe(true)
    await add(store, id, 'two')
    const [next] = await store.claimOutboxes(1500, 500, 10)
    expect(texts(next)).toEqual(['two'])
    for (const lost of [stale!, held!]) {
      expect(await store.settleOutbox(lost, { done: seqs(next) }, null, 1500)).toBe(false)
    }
    expect(await store.claimOutboxes(1501, 500, 10)).toEqual([])
    expect(await store.settleOutbox(next!, { done: seqs(next) }, null, 1501)).toBe(true)
  })

  test('messages that are added while other messages are settled are sent once and in order', async () => {
    const store = await place.emptied()
    const ids = [await aDispatched(store), await aDispatched(store), await aDispatched(store)]
    const EACH = 60
    const sent = new Map<string, string[]>(ids.map(id => [id, []]))
    const total = () => [...sent.values()].reduce((sum, each) => sum + each.length, 0)
    let adding = true
    const adder = async (id: string) => {
      for (let i = 0; i < EACH; i++) await add(store, id, String(i))
    }
    const sender = async () => {
      for (;;) {
        const last = !adding
        const pages = await store.claimOutboxes(1000, 60_000, 2)
        for (const page of pages) {
          sent.get(page.delivery)!.push(...texts(page))
          expect(await store.settleOutbox(page, { done: seqs(page) }, null, 1000)).toBe(true)
        }
        if (last && pages.length === 0) return
      }
    }
    await Promise.all([
      Promise.all(ids.map(adder)).then(() => {
        adding = false
      }),
      ...Array.from({ length: 4 }, sender),
    ])
    for (const each of sent.values()) expect(each).toEqual(Array.from({ length: EACH }, (_, i) => String(i)))
    expect(total()).toBe(ids.length * EACH)
  })
}

const add = (store: Store, id: string, ...lines: string[]) =>
  applyTo(store, id, { messages: lines.map(aLine) })
const seqs = (page: OutboxPage | undefined) => page!.messages.map(({ seq }) => seq)
const texts = (page: OutboxPage | undefined) =>
  page!.messages.map(({ message }) => (message as Extract<Message, { log: unknown }>).log[0]!.message)
