import { join } from 'node:path'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import type { DeliveryEvent } from '../../relay/delivery/events.ts'
import { openStore } from '../../relay/store/open.ts'
import { createApplyEvent } from '../../relay/workers/apply.ts'
import type { GitHubApi } from '../../simulator/github/github.ts'
import { type Address, aDelivery, aRun, attempt } from '../store/place.ts'
import { openRelayHere, relayEnv, startServices, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, VIEW_TOKEN } from '../support/requests.ts'

export type Placed = Partial<NewDelivery> & { events?: DeliveryEvent[] }

const POLICY = {
  startTimeout: 600_000,
  runTimeout: 86_400_000,
  serverUrl: 'https://github.com',
  timeoutsFrom: 0,
}

/** The events of a delivery whose dispatch GitHub rejects. */
export const REJECTED: DeliveryEvent[] = [
  {
    ...{ type: 'dispatchRejected', attemptedAt: 0, response: { status: 404, requestId: 'C0DE:1F' } },
    reason: 'GitHub rejected the dispatch: no such repository.',
  },
]

/** Returns the events of a delivery that is bound to an unfinished workflow run. */
export const running = (runId: number): DeliveryEvent[] => [
  { type: 'dispatchAccepted', attemptedAt: 0, run: null },
  {
    type: 'runsSeen',
    runs: [aRun(runId)],
    pollAt: 4_000_000_000_000,
  },
]

/** Starts a relay with these deliveries, a fake Port, and a fake GitHub that rate limits every dispatch. */
export async function openWithDeliveries(placed: Placed[] | ((github: GitHubApi) => Placed[])) {
  const { port, github, env } = await startServices()
  github.addRepository('acme/shop')
  const match = ({ path }: { path: string }) => path.endsWith('/dispatches')
  github.failures.tooMany(600, { times: Number.POSITIVE_INFINITY, match })
  const path = join(temporaryFolder(), 'relay.db')
  const ids = await placeDeliveries(path, typeof placed === 'function' ? placed(github) : placed)
  const tokens = { RELAY_ADMIN_TOKEN: ADMIN_TOKEN, RELAY_VIEW_TOKEN: VIEW_TOKEN }
  const relay = await openRelayHere(relayEnv({ ...env, ...tokens, RELAY_DATABASE: `sqlite:${path}` }))
  return { port, github, relay, ids }
}

/** Writes deliveries and their events into a database that no relay has open. Returns their ids. */
export async function placeDeliveries(database: string | Address, placed: Placed[]): Promise<string[]> {
  const store = await openStore(typeof database === 'string' ? { kind: 'sqlite', path: database } : database)
  const log = { info() {}, debug() {} }
  const apply = createApplyEvent({
    store,
    policy: () => POLICY,
    canReport: () => false,
    onTransition() {},
    log,
  })
  const ids: string[] = []
  for (const { events = [], ...given } of placed) {
    const { id } = await store.accept(aDelivery({ receivedAt: store.clock(), ...given }))
    ids.push(id)
    for (const event of events) {
      if ('attemptedAt' in event) await attempt(store, id, store.clock())
      const delivery = (await store.get(id))!
      const { attemptedAt } = delivery
      const { outcome } = await apply(delivery, 'attemptedAt' in event ? { ...event, attemptedAt } : event)
      if (outcome !== 'applied') throw new Error(`${event.type} was ${outcome}`)
    }
  }
  await store.close()
  return ids
}
