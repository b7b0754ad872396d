import { matcher } from '../config/routes.ts'
import type { Delivery } from '../delivery/delivery.ts'
import { type DeliveryEvent, timeoutEnd } from '../delivery/events.ts'
import type { GitHub } from '../github/client.ts'
import type { Freeze, NewFreeze, Store } from '../store/store.ts'
import { type ApplyDeps, applyOnce } from './apply.ts'

export type Freezes = ReturnType<typeof createFreezes>

/** The maximum number of repositories per statement. */
const REPOSITORIES = 50
/** The maximum numbers of deliveries per transaction, so that intake never waits long. DISCARDED is lower, because each canceled delivery needs its own statements. */
const CHANGED = 200
const DISCARDED = 50

/** Freezes, releases, and discards deliveries according to the freezes in the database. Every relay does this. */
export function createFreezes(deps: ApplyDeps & { store: Store; github: GitHub }) {
  const { store, policy, log, github } = deps
  let all: (Freeze & { matches: (repository: string) => boolean })[] = []

  const active = () => all.filter(({ ending }) => ending === '')
  const find = (repository: string): Freeze | undefined => active().find(each => each.matches(repository))

  /** Ends a freeze at its end time by GitHub's clock, because the database's clock may be wrong. */
  async function endInTime({ id, endsAt }: Freeze): Promise<void> {
    const isOver = () => endsAt !== null && timeoutEnd(endsAt, 0, policy()) <= store.clock()
    if (isOver()) await github.checkCredential().catch(() => {})
    if (isOver()) await end(id, 'release')
  }

  async function end(id: number, ending: 'release' | 'discard'): Promise<boolean> {
    const isEnded = await store.endFreeze(id, ending)
    if (isEnded) log.info({ freeze: id, ending }, 'a deploy freeze ended')
    return isEnded
  }

  async function finish({ id, reason, ending, deliveries }: Freeze): Promise<void> {
    if (deliveries === 0) return store.deleteFreeze(id)
    if (ending === 'release')
      await changeAll(() => store.frozenBy(id, CHANGED), { type: 'unfrozen', freeze: { id, reason } })
    else await changeAll(() => store.frozenBy(id, DISCARDED), { type: 'cancelRequested', by: 'freeze' })
  }

  async function changeAll(find: () => Promise<Delivery[]>, event: DeliveryEvent): Promise<void> {
    while ((await applyOnce(await find(), event, deps)).changed.length > 0) {}
  }

  const read = oneAtATime(async () => {
    all = (await store.freezes()).map(each => ({ ...each, matches: matcher([each.repositories]) }))
  })
  const check = oneAtATime(async () => {
    for (const freeze of active()) await endInTime(freeze)
    await read()
    for (const freeze of all) if (freeze.ending) await finish(freeze)
    const queues = active().length > 0 ? await store.queues() : []
    for (const freeze of active()) {
      const own = queues.filter(repository => find(repository)?.id === freeze.id)
      for (let first = 0; first < own.length; first += REPOSITORIES) {
        const some = own.slice(first, first + REPOSITORIES)
        await changeAll(() => store.freezable(some, CHANGED), { type: 'frozen', freeze })
      }
    }
  })

  return {
    /** Reads the freezes from the database. */
    read,
    /** Reads the freezes, and freezes, releases, or discards deliveries accordingly. */
    check,
    isKnown: () => all.length > 0,
    find,
    active: (): readonly Freeze[] => active(),
    /** Starts a freeze. Resolves when all deliveries that match the freeze are frozen. */
    async start(given: NewFreeze): Promise<Freeze> {
      const freeze = await store.addFreeze(given)
      log.info({ freeze: freeze.id, ...given }, 'a deploy freeze started')
      await read()
      await check()
      return (await store.freezes()).find(({ id }) => id === freeze.id) ?? freeze
    },
    /** Ends a freeze. @returns false if the freeze doesn't exist, or has already ended */
    async end(id: number, ending: 'release' | 'discard'): Promise<boolean> {
      const isEnded = await end(id, ending)
      await check()
      return isEnded
    },
  }
}

/** Runs one call of a task at a time, so that an older read doesn't replace a newer one. Calls that arrive during a run share the next run. */
function oneAtATime(work: () => Promise<void>, last = Promise.resolve()): () => Promise<void> {
  let waiting: Promise<void> | undefined
  const start = () => {
    waiting = undefined
    return work()
  }
  return () => (waiting ??= last = last.then(start, start))
}
