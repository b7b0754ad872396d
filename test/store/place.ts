import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach } from 'vitest'
import type { Config } from '../../relay/config/config.ts'
import type {
  Delivery,
  DeliveryRun,
  Message,
  NewDelivery,
  Transition,
} from '../../relay/delivery/delivery.ts'
import type { Backend } from '../../relay/store/database.ts'
import { openBackend, openStore } from '../../relay/store/open.ts'
import type { Decided, ReportReceipt, Store } from '../../relay/store/store.ts'
import { createStore } from '../../relay/store/store.ts'
import { newDatabase } from '../support/shared-postgres.ts'

export type Address = Config['database']

/** The setup for tests of one kind of store. */
export interface Place {
  kind: Address['kind']
  /** Returns the address of an empty database without tables. */
  empty(): Promise<Address>
  /** Deletes the rows of a shared store and returns the store. Opening a new store takes longer than most tests. */
  emptied(): Promise<Store>
  /** Opens a store on the given database or a new one, and closes the store after the test. */
  open(address?: Address): Promise<Store>
}

const WIPE = {
  sqlite: ['DELETE FROM deliveries', 'DELETE FROM rate_limit_pauses', 'DELETE FROM cancellations'],
  postgres: ['TRUNCATE deliveries, rate_limit_pauses, cancellations RESTART IDENTITY CASCADE'],
}

export function usePlace(kind: Address['kind']): Place {
  const folder = mkdtempSync(join(tmpdir(), 'relay-store-'))
  const opened: Store[] = []
  let emptied: { backend: Backend; store: Store } | undefined
  let made = 0
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(store => store.close()))
  })
  afterAll(async () => {
    await emptied?.store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const place: Place = {
    kind,
    async empty() {
      return kind === 'sqlite'
        ? { kind, path: join(folder, `${++made}.db`) }
        : { kind, url: await newDatabase() }
    },
    async emptied() {
      if (emptied) {
        await emptied.backend.run(WIPE[kind].map(sql => ({ sql, params: [] })))
      } else {
        const backend = await openBackend(await place.empty())
        emptied = { backend, store: createStore(backend) }
      }
      return emptied.store
    },
    async open(address) {
      const store = await openStore(address ?? (await place.empty()))
      opened.push(store)
      return store
    },
  }
  return place
}

/** The counts for an hour in which no delivery finished. */
export const NO_OUTCOME = { succeeded: 0, failed: 0, cancelled: 0, not_started: 0, unknown: 0 }

let count = 0

/** Returns a unique delivery that was received at 1000. */
export function aDelivery(given: Partial<NewDelivery> = {}): NewDelivery {
  const runId = `r_${++count}`
  return {
    ...{ id: `d-${count}`, dedupeKey: `run:${given.runId ?? runId}`, runId },
    ...{ sentAs: `digest-${count} /webhook`, signature: null },
    ...{ kind: 'action_run', action: 'deploy', invocation: '{"inputs":{}}', receivedAt: 1000 },
    ...{ repository: 'acme/shop', eventType: 'deploy', workflow: null, ref: null },
    ...given,
  }
}

/** Returns a unique delivery whose signed body doesn't name the run. */
export const aSigned = (digest: string, address = '/webhook', given: Partial<NewDelivery> = {}) =>
  aDelivery({ sentAs: `${digest} ${address}`, signature: digest, ...given })

/** Returns a workflow run for a delivery. */
export const aRun = (id: number, given: Partial<DeliveryRun> = {}): DeliveryRun => ({
  ...{ id, attempt: 1, evidence: 'title', past: false, status: 'in_progress', conclusion: null },
  url: `https://github.com/acme/shop/actions/runs/${id}`,
  ...given,
})

export const aLine = (message: string): Message => ({ log: [{ level: 'INFO', message }] })

/** Returns a transition that changes only the given fields. */
export const aTransition = (given: Partial<Transition> = {}): Transition => ({
  change: {},
  messages: [],
  history: null,
  ...given,
})

/** Accepts deliveries one after another and returns their IDs. */
export async function acceptAll(store: Store, ...given: Partial<NewDelivery>[]): Promise<string[]> {
  const ids: string[] = []
  for (const each of given) ids.push((await store.accept(aDelivery(each))).id)
  return ids
}

export async function get(store: Store, id: string): Promise<Delivery> {
  const delivery = await store.get(id)
  if (!delivery) throw new Error(`There is no delivery ${id}`)
  return delivery
}

/** Applies a transition that was computed from this version of the delivery. */
export const apply = async (
  store: Store,
  delivery: Decided['delivery'],
  transition: Transition,
  now: number,
  receipt?: ReportReceipt,
): Promise<boolean> => (await store.apply([{ delivery, transition, receipt }], now))[0]!

/** Applies a transition to the current version of a delivery. */
export async function applyTo(
  store: Store,
  id: string,
  transition: Partial<Transition>,
  now = 1000,
  receipt?: ReportReceipt,
): Promise<boolean> {
  return apply(store, await get(store, id), aTransition(transition), now, receipt)
}

/** Records an attempt, as a claim for a dispatch does. */
export async function attempt(store: Store, id: string, now = 1000): Promise<void> {
  const { attempts } = await get(store, id)
  const times = { firstAttemptAt: now, attemptedAt: now, awaitingResponseSince: now }
  await applyTo(store, id, { change: { attempts: attempts + 1, ...times } }, now)
}

/** Creates a delivery that GitHub accepted at 1000. Its next poll is due at 5000. */
export async function aDispatched(store: Store, given: Partial<NewDelivery> = {}): Promise<string> {
  const { id } = await store.accept(aDelivery(given))
  const times = { attemptedAt: 1000, dispatchedAt: 1000, dueAt: 5000 }
  await applyTo(store, id, { change: { state: 'dispatched', attempts: 1, ...times } })
  return id
}

/** Creates a delivery that failed at `at`. */
export async function aFailed(store: Store, at = 2000, given: Partial<NewDelivery> = {}): Promise<string> {
  const id = await aDispatched(store, given)
  const change = { state: 'failed', outcome: 'not_started', reason: 'No workflow', dueAt: null } as const
  await applyTo(store, id, { change }, at)
  return id
}

/** Runs statements on a PostgreSQL database with its own connection. */
export async function runSql(
  { url }: { kind: string; url?: string },
  ...statements: string[]
): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}
