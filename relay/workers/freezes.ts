import { matcher } from '../config/routes.ts'
import { timeoutEnd } from '../delivery/events.ts'
import type { GitHub } from '../github/client.ts'
import type { Freeze, NewFreeze, Store } from '../store/store.ts'
import type { ApplyDeps, ApplyEvent } from './apply.ts'

export type Freezes = ReturnType<typeof createFreezes>

/** How often freezes are read, and how old that data can be when an attempt starts. */
export const FREEZES_MS = 500
const FRESH_MS = 1_000
/** The number of repositories per statement, and of discarded deliveries per round. */
const REPOSITORIES = 50
const DISCARDED = 100

type Deps = Pick<ApplyDeps, 'policy' | 'log'> & { store: Store; apply: ApplyEvent; github: GitHub }

/** Freezes, releases, and discards deliveries, in every relay, according to the freezes in the database. */
export function createFreezes({ store, policy, apply, log, github }: Deps) {
  let all: (Freeze & { matches: (repository: string) => boolean })[] = []
  let readAt = Number.NEGATIVE_INFINITY

  const active = () => all.filter(({ ending }) => ending === '')
  const find = (repository: string): Freeze | undefined => active().find(each => each.matches(repository))

  /** Ends a freeze when its time is reached. Reads GitHub's clock first, because the database's clock may be wrong. */
  async function endInTime({ id, endsAt }: Freeze): Promise<void> {
    const isOver = () => endsAt !== null && timeoutEnd(endsAt, 0, policy) <= store.clock()
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
    const began = store.clock()
    all = (await store.freezes()).map(each => ({ ...each, matches: matcher([each.repositories]) }))
    readAt = began
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
    check,
    find,
    active: (): readonly Freeze[] => active(),
    async holds(repository: string): Promise<boolean> {
      if (Math.abs(store.clock() - readAt) > FRESH_MS) await read()
      return find(repository) !== undefined
    },
    /** Starts a freeze. Resolves when all matching deliveries are frozen. */
    async start(given: NewFreeze): Promise<Freeze> {
      const freeze = await store.addFreeze(given)
      log.info({ freeze: freeze.id, ...given }, 'a deploy freeze started')
      await read()
      await check()
      return (await store.freezes()).find(({ id }) => id === freeze.id) ?? freeze
    },
    /** @returns false if the freeze doesn't exist, or has already ended */
    async end(id: number, ending: 'release' | 'discard'): Promise<boolean> {
      const isEnded = await end(id, ending)
      await check()
      return isEnded
    },
  }
}

/** Runs one task at a time, so that an older read doesn't replace a newer read. */
function oneAtATime(work: () => Promise<void>, last = Promise.resolve()): () => Promise<void> {
  return () => {
    last = last.then(work, work)
    return last
  }
}
