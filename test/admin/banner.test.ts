import { expect, test } from 'vitest'
import { banner, type Health } from '../../relay/admin/dashboard/banner.ts'
import { createTally } from '../../relay/admin/health.ts'
import { openStore } from '../../relay/store/open.ts'
import { aDelivery, NO_OUTCOME } from '../store/place.ts'
import { temporaryFolder } from '../support/relay.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const MINUTE = 60_000
const WELL: Health = {
  ...{ problems: [], isDatabaseOk: true, limits: [], stalled: [] },
  ...{ queued: 3, queuedSince: NOW - MINUTE / 2, oldestMessage: NOW - MINUTE },
  ...{ portPausedUntil: 0, tokenExpiresAt: NOW + 30 * 1440 * MINUTE, clock: null },
  refused: { count: 0, statuses: [], reason: '' },
}
const STALLED = {
  ...aDelivery({ id: 'd-1', runId: 'r_1', repository: 'acme/shop' }),
  ...{ reason: 'GitHub responded with 500', stalledSince: NOW - 7 * MINUTE },
} as unknown as Health['stalled'][number]
const BEHIND = { queued: 10_000, queuedSince: NOW - 90 * MINUTE, oldestMessage: NOW - 25 * MINUTE }

test.each<[string, Partial<Health>, RegExp[]]>([
  ['nothing', {}, []],
  ['nothing about unknown values', { tokenExpiresAt: null }, []],
  [
    'problems with GitHub and Port, with the work that is waiting',
    {
      ...BEHIND,
      problems: [
        {
          ...{ type: 'unreachable', side: 'github', key: '' },
          ...{ text: ['GitHub unreachable since ', NOW, ': refused.'], advice: 'Check the network.' },
        },
        {
          ...{ type: 'credential_rejected', side: 'port', key: '' },
          ...{ text: ['Port rejects PORT_CLIENT_ID (401).'], advice: 'Set a new secret.' },
        },
      ],
    },
    [
      /GitHub unreachable since .*2026-03-01 12:00:00 UTC.*: refused\..* Check the network\..* 10,000\+ queued\./,
      /Port rejects PORT_CLIENT_ID \(401\)\..* Set a new secret\. The oldest message has waited for 25 min\./,
    ],
  ],
  ['a database that accepts no writes', { isDatabaseOk: false }, [/RELAY_DATABASE.* Webhooks are refused/]],
  [
    "GitHub's rate limit",
    {
      limits: [
        { scope: 'owner:acme', pausedUntil: NOW + MINUTE, cause: 'limit', reason: 'GitHub limits it' },
      ],
    },
    [/GitHub limits it \(acme\)\..* Next request at .*2026-03-01 12:01:00 UTC.* 3 queued/],
  ],
  ["Port's rate limit", { portPausedUntil: NOW + MINUTE }, [/Port is rate limiting the relay.*12:01:00/]],
  [
    'a backlog if there is no other problem',
    BEHIND,
    [/Messages to Port are delayed.* 25 min/, /Dispatches are delayed.* 10,000\+ queued.* 1 h/],
  ],
  [
    'a queue from which nothing is dispatched, with its oldest delivery',
    { ...BEHIND, oldestMessage: null, stalled: [STALLED] },
    [
      /Nothing was dispatched to acme\/shop for 7 min<\/strong>, because <a href="\/deliveries\/d-1">r_1<\/a> waits: GitHub responded with 500\./,
    ],
  ],
  ['a clock that differs by minutes', { clock: 'A clock is wrong.' }, [/A clock is wrong\./]],
  [
    'refused webhooks',
    { refused: { count: 3, statuses: ['2 × 401', '1 × 413'], reason: 'The secret is wrong.' } },
    [
      /3 webhooks were refused.* \(2 × 401, 1 × 413\)\. The last one: The secret is wrong\. <a href="\/refused">/,
    ],
  ],
  [
    'a token that expires soon or has expired',
    { tokenExpiresAt: NOW + 9 * 1440 * MINUTE },
    [/GITHUB_TOKEN expires on .*2026-03-10 12:00:00/],
  ],
])('the banner shows %s', async (_what, health, expected) => {
  const items = String(await banner({ ...WELL, ...health }, NOW)).match(/<li>.*?<\/li>/gs) ?? []
  expect(items).toHaveLength(expected.length)
  for (const [i, pattern] of expected.entries()) expect(items[i]).toMatch(pattern)
})

test('counts events per hour and keeps the counts for two days', async () => {
  const real = await openStore({ kind: 'sqlite', path: `${temporaryFolder()}/relay.db` })
  let now = NOW
  const errors: object[] = []
  const tally = createTally({ ...real, clock: () => now }, { error: fields => void errors.push(fields) })
  const { store } = tally
  const delivery = aDelivery()
  await store.accept(delivery)
  await store.accept({ ...delivery, id: 'the same again' })
  await store.accept(aDelivery())
  now += 60 * MINUTE
  const applied = { messages: [], history: null }
  tally.transition({ ...applied, change: { state: 'failed', outcome: 'not_started', reason: 'no' } })
  tally.transition({ ...applied, change: { state: 'queued' } })
  await tally.flush()
  const none = { accepted: 0, ...NO_OUTCOME }
  const first = { ...none, hour: NOW, accepted: 2 }
  expect(await store.hours(0)).toEqual([first, { ...none, hour: NOW + 60 * MINUTE, not_started: 1 }])
  await store.accept(aDelivery())
  expect((await store.hours(0))[1], 'not persisted yet').toMatchObject({ accepted: 1, not_started: 1 })
  now += 49 * 60 * MINUTE
  await store.accept(aDelivery())
  await tally.stop()
  expect((await store.hours(0)).map(({ hour }) => (hour - NOW) / MINUTE)).toEqual([3000])
  await real.close()
  await tally.stop()
  expect(errors).toEqual([])
})
