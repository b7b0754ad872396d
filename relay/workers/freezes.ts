import { matcher } from '../config/routes.ts'
import { timeoutEnd } from '../delivery/events.ts'
import type { GitHub } from '../github/client.ts'
import type { Freeze, NewFreeze, Store } from '../store/store.ts'
import type { ApplyDeps, ApplyEvent } from './apply.ts'

export type Freezes = ReturnType<typeof createFreezes>

/** The maximum number of repositories per statement. Also the maximum number of deliveries to discard per round. */
const REPOSITORIES = 50
const DISCARDED = 100

type Deps = Pick<ApplyDeps, 'policy' | 'log'> & { store: Store; apply: ApplyEvent; github: GitHub }

/** Freezes, releases, and discards deliveries according to the freezes in the database. Every relay does this. */
export function createFreezes({ store, policy, apply, log, github }: Deps) {
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

  async function finish(freeze: Freeze): Promise<void> {
    if (freeze.deliveries === 0) return store.deleteFreeze(freeze.id)
    while (freeze.ending === 'release' && (await store.release(freeze, store.clock()))) {}
    const discarded = freeze.ending === 'discard' ? await store.frozenBy(freeze.id, DISCARDED) : []
    for (const delivery of discarded)
      await apply(delivery, { type: 'cancelRequested', by: 'freeze' }, { strict: true })
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
      for (let first = 0; first < own.length; first += REPOSITORIES)
        while (await store.freezeQueues(freeze, own.slice(first, first + REPOSITORIES), store.clock())) {}
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

/** Makes calls of a task wait for each other, so that an older read doesn't replace a newer one. Waiting calls share a run. */
function oneAtATime(work: () => Promise<void>, last = Promise.resolve()): () => Promise<void> {
  let waiting: Promise<void> | undefined
  const start = () => {
    waiting = undefined
    return work()
  }
  return () => (waiting ??= last = last.then(start, start))
}
