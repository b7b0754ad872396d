import { createTally } from '../relay/admin/health.ts'
import type { DeliveryRun, NewDelivery } from '../relay/delivery/delivery.ts'
import type { DeliveryEvent } from '../relay/delivery/events.ts'
import { deliveryId } from '../relay/intake/verify.ts'
import { openStore } from '../relay/store/open.ts'
import { createApplyEvent } from '../relay/workers/apply.ts'

const HOUR = 3_600_000
const ACTIONS = ['deploy_service', 'restart_service', 'scaffold_service', 'rotate_secret', 'create_database']
const REPOSITORIES = ['acme/shop', 'acme/web', 'acme/billing', 'acme/infrastructure']
const PEOPLE = ['Jane Doe', 'Rafael Ortiz', 'Mei Tanaka', 'Amina Diallo', null]

/** Writes a day of generated deliveries into a new database, as a relay would. */
export async function placeDay(path: string): Promise<{ approval: string; failed: string }> {
  const real = await openStore({ kind: 'sqlite', path })
  let now = real.clock()
  const store = { ...real, clock: () => now }
  const tally = createTally(store, { error() {} })
  const policy = {
    startTimeout: 600_000,
    runTimeout: 86_400_000,
    serverUrl: 'https://github.com',
    timeoutsFrom: 0,
  }
  const apply = createApplyEvent({
    store,
    policy: () => policy,
    canReport: () => false,
    onTransition: (_, applied) => tally.transition(applied),
    log: { info() {}, debug() {} },
  })
  let placed = 0
  const named: Record<string, string> = {}

  async function place(age: number, given: Partial<NewDelivery>, events: [ms: number, DeliveryEvent][]) {
    now = real.clock() - age
    const i = placed++
    const action = given.action ?? ACTIONS[i % ACTIONS.length]!
    const user = PEOPLE[(i * 7) % PEOPLE.length]
    const runId = `r_${Buffer.from(`Q${i}0YotCZMKxDL`).toString('base64url').slice(0, 16)}`
    const { id } = await tally.store.accept({
      ...{ id: deliveryId(now), runId, dedupeKey: `run:${runId}`, sentAs: '', signature: null },
      ...{ kind: 'action_run', action, repository: REPOSITORIES[i % REPOSITORIES.length]! },
      ...{ eventType: action, workflow: null, ref: null, receivedAt: now },
      invocation: JSON.stringify({
        inputs: {},
        targetFrom: i % 3 === 0 ? 'route' : 'url',
        trigger: user ? { by: { name: user, email: null }, origin: 'UI', at: null } : null,
      }),
      ...given,
    })
    for (const [ms, event] of events) {
      if ('attemptedAt' in event) {
        const { attempts, ...delivery } = (await store.get(id))!
        const times = { firstAttemptAt: now, attemptedAt: now, awaitingResponseSince: now }
        const change = { attempts: attempts + 1, ...times }
        await store.apply([{ delivery, transition: { change, messages: [], history: null } }], now)
      }
      now += ms
      const delivery = (await store.get(id))!
      const { attemptedAt } = delivery
      const { outcome } = await apply(delivery, 'attemptedAt' in event ? { ...event, attemptedAt } : event)
      if (outcome !== 'applied') throw new Error(`${event.type} was ${outcome}`)
    }
    return id
  }
  const run = (id: number, status = 'in_progress'): DeliveryRun => ({
    ...{ id, attempt: 1, evidence: 'title', past: false, status, conclusion: null },
    url: `https://github.com/acme/shop/actions/runs/${id}`,
  })
  const accepted: [number, DeliveryEvent][] = [[400, { type: 'dispatchAccepted', attemptedAt: 0, run: null }]]
  const bound = (id: number): [number, DeliveryEvent][] => [
    ...accepted,
    [4000, { type: 'runsSeen', runs: [run(id)], pollAt: 4_000_000_000_000 }],
  ]
  const ended = (id: number, conclusion: string): [number, DeliveryEvent][] => [
    ...bound(id),
    [
      95_000,
      { type: 'runFinished', run: { ...run(id, 'completed'), conclusion }, runs: [run(id)], found: null },
    ],
  ]
  const unheard: [number, DeliveryEvent][] = [
    ...accepted,
    [600_000, { type: 'startTimedOut', cause: { why: 'nothing listens' } }],
  ]
  for (let i = 0; i < 140; i++) {
    const age = Math.round((22.4 - i / 6.6 + Math.sin(i / 3) / 2) * HOUR)
    const conclusion = i % 23 === 3 ? 'failure' : i === 60 ? 'cancelled' : 'success'
    await place(age, {}, i % 41 === 17 ? unheard : ended(16_100_000_000 + i, conclusion))
  }
  named.failed = await place(
    50 * 60_000,
    { action: 'rotate_secret', repository: 'acme/billing', eventType: 'rotate_secret' },
    unheard,
  )
  for (let i = 0; i < 3; i++) await place(45 * 60_000 - i * 300_000, {}, ended(16_200_000_000 + i, 'success'))
  await place(28 * 60_000, { action: 'restart_service', repository: 'acme/web' }, [
    ...bound(16_300_000_000),
    [20_000, { type: 'cancelRequested', by: 'port' }],
    ...ended(16_300_000_000, 'cancelled').slice(-1),
  ])
  const deferred: DeliveryEvent = {
    ...{ type: 'dispatchDeferred', cause: 'error', attemptedAt: 0, until: null },
    reason: 'GitHub is not available (503)',
  }
  named.approval = await place(
    14 * 60_000,
    {
      action: 'deploy_service',
      repository: 'acme/shop',
      eventType: null,
      workflow: 'deploy.yml',
      ref: 'main',
    },
    [
      [700, deferred],
      [
        1600,
        {
          ...{ type: 'dispatchAccepted', attemptedAt: 0 },
          run: { id: 16_400_000_000, url: 'https://github.com/acme/shop/actions/runs/16400000000' },
        },
      ],
      [
        4000,
        {
          ...{ type: 'runsSeen', pollAt: 4_000_000_000_000 },
          runs: [{ ...run(16_400_000_000, 'waiting'), evidence: 'response' }],
        },
      ],
      [
        38_000,
        {
          ...{ type: 'approvalSeen', decided: [], url: '' },
          pending: [{ environment: 'production', waitTimer: 0, reviewers: ['a'] }],
        },
      ],
    ],
  )
  await place(6 * 60_000, {}, bound(16_500_000_000))
  await place(3 * 60_000, {}, bound(16_600_000_000))
  await place(40_000, {}, accepted)
  await tally.stop()
  await real.close()
  return { approval: named.approval!, failed: named.failed! }
}
