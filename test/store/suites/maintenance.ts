import { expect, test } from 'vitest'
import { purge } from '../../../relay/workers/maintenance.ts'
import {
  acceptAll,
  aDelivery,
  aDispatched,
  aFailed,
  aLine,
  applyTo,
  aRun,
  get,
  type Place,
} from '../place.ts'

const MINUTE = 60_000

export function maintenanceTests(place: Place): void {
  test('counts the relays that are connected to the database', async () => {
    const address = await place.empty()
    const first = await place.open(address)
    expect(await first.relays()).toBe(1)
    if (place.kind === 'sqlite') return
    const second = await place.open(address)
    await second.counts()
    expect(await first.relays()).toBe(2)
  })

  test('deletes finished deliveries by age, a few at a time, and never deletes open deliveries', async () => {
    const store = await place.emptied()
    const end = async (state: 'finished' | 'cancelled', at: number) => {
      const id = await aDispatched(store)
      await applyTo(store, id, { change: { state, dueAt: null } }, at)
      return id
    }
    const old = [await aFailed(store, 100), await end('finished', 200), await end('cancelled', 299)]
    const young = await aFailed(store, 300)
    const open = await acceptAll(store, { receivedAt: 1 })
    for (const state of ['dispatched', 'running'] as const) {
      const [id] = await acceptAll(store, { receivedAt: 1 })
      await applyTo(store, id!, { change: { state } }, 1)
      open.push(id!)
    }
    for (const deleted of [2, 1, 0]) expect(await store.purge(300, 2)).toBe(deleted)
    for (const id of old) expect(await store.get(id)).toBeNull()
    expect(await store.purge(9e12, 10)).toBe(1)
    expect(await store.get(young)).toBeNull()
    for (const id of open) expect(await store.get(id)).not.toBeNull()
  })

  test('keeps a delivery until its messages are sent, then deletes the delivery with all its data', async () => {
    const store = await place.emptied()
    const id = await aFailed(store, 2000, { runId: 'r_purged' })
    const receipt = { sender: 'a', number: 1, lines: 1, bytes: 1 }
    const history = { type: 'runFinished' as const, details: {} }
    const transition = { change: { runs: [aRun(7)] }, messages: [aLine('one')], history }
    await applyTo(store, id, transition, 2000, receipt)
    expect(await store.purge(9000, 10)).toBe(0)
    const [page] = await store.claimOutboxes(3000, 10, 10)
    await store.settleOutbox(page!, { done: [page!.messages[0]!.seq] }, null, 3000)
    expect(await store.purge(9000, 10)).toBe(1)
    expect(await store.history(id)).toEqual([])
    expect(await store.findRuns('acme/shop', [7])).toEqual([])
    expect(await store.reportUsage(id, 'a')).toMatchObject({ lastNumber: 0 })
    const [again] = await acceptAll(store, { runId: 'r_purged' })
    expect((await get(store, again!)).state).toBe('queued')
  })

  test('keeps a delivery while its webhook could be replayed, even if RELAY_RETENTION is shorter', async () => {
    const store = await place.emptied()
    const now = 100 * 24 * 60 * MINUTE
    const given = aDelivery({ receivedAt: now })
    await store.accept(given)
    await applyTo(store, given.id, { change: { state: 'finished', dueAt: null } }, now)
    const kept = { retention: MINUTE, tolerance: 5 * MINUTE }
    expect(await purge(store, { now: now + 10 * MINUTE, ...kept })).toBe(0)
    expect((await store.accept({ ...given, id: 'd-again' })).duplicate).toBe(true)
    expect(await purge(store, { now: now + 10 * MINUTE + 1, ...kept })).toBe(1)
  })

  test('keeps a revoked session until the session expires, and revoking a session twice succeeds', async () => {
    const store = await place.emptied()
    const revoked = () => Promise.all(['old', 'young', 'other'].map(store.isSessionRevoked))
    expect(await revoked()).toEqual([false, false, false])
    for (const _ of [1, 2]) {
      await store.revokeSession('old', store.clock() - 60 * MINUTE)
      await store.revokeSession('young', store.clock() + MINUTE)
    }
    expect(await revoked()).toEqual([true, true, false])
    await store.purge(0, 1)
    expect(await revoked()).toEqual([false, true, false])
  })

  test('after the clock was set back, work in the far future becomes due, and leases and rate-limit pauses end', async () => {
    const store = await place.emptied()
    const now = 10_000_000
    const [near, far] = await acceptAll(store, { repository: 'acme/a' }, { repository: 'acme/b' })
    await applyTo(store, near!, { change: { dueAt: now + 14 * MINUTE } })
    await applyTo(store, far!, { change: { dueAt: now + 60 * MINUTE } })
    const watched = await aDispatched(store, { repository: 'acme/c' })
    await store.claimPolls(now + 60 * MINUTE, MINUTE, 10)
    await applyTo(store, watched, { messages: [aLine('one')] }, now + 60 * MINUTE)
    await store.claimOutboxes(now + 60 * MINUTE, MINUTE, 10)
    const pause = (scope: string, minutes: number) =>
      store.savePause({ scope, pausedUntil: now + minutes * MINUTE, cause: 'limit', reason: 'limited' })
    await pause('owner:acme', 66)
    await pause('owner:zeta', 60)
    await store.repairDueTimes(now)
    expect((await get(store, near!)).dueAt).toBe(now + 14 * MINUTE)
    expect((await store.claimQueued(now, 10, 10, 'owner:')).map(({ id }) => id)).toEqual([far])
    expect((await store.claimPolls(now, 10, 10)).map(({ id }) => id)).toEqual([watched])
    expect(await store.claimOutboxes(now, 10, 10)).toHaveLength(1)
    expect(await store.activePauses(now)).toMatchObject([{ scope: 'owner:zeta' }])
  })
}
