import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Config } from '../../relay/config/config.ts'
import { createStore } from '../../relay/store/create-store.ts'
import type { Backend } from '../../relay/store/database.ts'
import type { NewDelivery } from '../../relay/store/delivery.ts'
import { openBackend, openStore } from '../../relay/store/open.ts'
import type { Store } from '../../relay/store/store.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

export type Address = Config['database']

/** Where the tests of one kind of store are played. */
export interface Place {
  kind: Address['kind']
  /** The address of a database with nothing in it, not even tables. */
  empty(): Promise<Address>
  /** A store without deliveries, the same for every test that asks: opening one costs more than such a test. */
  emptied(): Promise<Store>
  /** A store on a database, a new one where none is given; closed at the end of the test. */
  open(address?: Address, dispatchRate?: number): Promise<Store>
  /** PostgreSQL's server. */
  server(): TestPostgres
}

const WIPE = {
  sqlite: [
    'DELETE FROM deliveries',
    'DELETE FROM reports',
    'DELETE FROM pauses',
    'UPDATE pace SET tokens = 0, at = 0',
  ],
  postgres: [
    'TRUNCATE deliveries, reports, pauses RESTART IDENTITY CASCADE',
    'UPDATE pace SET tokens = 0, at = 0',
  ],
}

export function usePlace(kind: Address['kind']): Place {
  const folder = mkdtempSync(join(tmpdir(), 'relay-store-'))
  const opened: Store[] = []
  let emptied: { backend: Backend; store: Store } | undefined
  let server: TestPostgres | undefined
  let made = 0
  if (kind === 'postgres') {
    beforeAll(async () => {
      server = await startPostgres()
    })
  }
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(store => store.close()))
  })
  afterAll(async () => {
    await emptied?.store.close()
    await server?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const place: Place = {
    kind,
    async empty() {
      return kind === 'sqlite'
        ? { kind, path: join(folder, `${++made}.db`) }
        : { kind, url: await place.server().createDatabase() }
    },
    async emptied() {
      if (emptied) {
        await emptied.backend.run(WIPE[kind].map(sql => ({ sql, params: [] })))
      } else {
        const backend = await openBackend(await place.empty())
        emptied = { backend, store: createStore(backend, 0) }
      }
      return emptied.store
    },
    async open(address, dispatchRate = 0) {
      const store = await openStore(address ?? (await place.empty()), dispatchRate)
      opened.push(store)
      return store
    },
    server() {
      if (!server) throw new Error('There is no PostgreSQL here')
      return server
    },
  }
  return place
}

let count = 0

/** A delivery unlike every other, received at 1000. */
export function aDelivery(given: Partial<NewDelivery> = {}): NewDelivery {
  const runId = `r_${++count}`
  return {
    id: `d-${count}`,
    identity: `run:${given.runId ?? runId}`,
    replayKey: null,
    organisation: 'default',
    workflow: null,
    ref: null,
    runId,
    kind: 'action_run',
    action: 'deploy',
    repository: 'acme/shop',
    eventType: 'deploy',
    invocation: '{"inputs":{}}',
    receivedAt: 1000,
    ...given,
  }
}

/** Accepts deliveries one after the other; their ids. */
export async function acceptAll(store: Store, ...given: Partial<NewDelivery>[]): Promise<string[]> {
  const ids: string[] = []
  for (const each of given) ids.push((await store.accept(aDelivery(each))).id)
  return ids
}

/** A delivery that GitHub took; its watch is due at 5000. */
export async function aDispatched(store: Store, given: Partial<NewDelivery> = {}): Promise<string> {
  const [id] = await acceptAll(store, given)
  const claimed = (await store.claimQueued(1000, 10, 100)).find(each => each.id === id)
  await store.record(claimed!, { state: 'dispatched', dispatchedAt: 1000, dueAt: 5000 }, 1000)
  return id!
}

/** A delivery that failed at `at`. */
export async function aFailed(store: Store, at = 2000, given: Partial<NewDelivery> = {}): Promise<string> {
  const id = await aDispatched(store, given)
  const claimed = (await store.claimWatched(5000, 10, 100)).find(each => each.id === id)
  const attempts = [{ at, outcome: 'It was not there' }]
  await store.record(claimed!, { state: 'failed', reason: 'No workflow', attempts, dueAt: null }, at)
  return id
}
