import { expect, test } from 'vitest'
import { banner, type Health } from '../../relay/admin/dashboard/pages.ts'
import { createTally } from '../../relay/admin/health.ts'
import { openStore } from '../../relay/store/open.ts'
import { aDelivery } from '../store/place.ts'
import { temporaryFolder } from '../support/relay.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const MINUTE = 60_000
const WELL: Health = {
  ...{ pauses: [], queued: 3, dispatchDueSince: NOW - MINUTE / 2, oldestMessage: NOW - MINUTE },
  ...{ portPausedUntil: 0, portAccepts: true, tokenExpiresAt: NOW + 30 * 1440 * MINUTE },
}

test.each<[string, Partial<Health>, RegExp[]]>([
  ['nothing', {}, []],
  ['nothing that is not known', { portAccepts: null, tokenExpiresAt: null }, []],
  [
    'a limit of GitHub, or a credential that it rejects',
    { pauses: [{ scope: 'owner:acme', pausedUntil: NOW + MINUTE, reason: 'GitHub rejects the credential' }] },
    [
      /Requests to GitHub for acme are paused until .*2026-03-01 12:01:00 UTC.*GitHub rejects the credential\. 3 queued/,
    ],
  ],
  ['credentials that Port rejects', { portAccepts: false }, [/Port rejects the relay's credentials/]],
  ['a limit of Port', { portPausedUntil: NOW + MINUTE }, [/Port is rate limiting the relay.*12:01:00/]],
  [
    'messages that wait',
    { oldestMessage: NOW - 25 * MINUTE },
    [/Messages to Port wait:.* the oldest for 25 min/],
  ],
  [
    'a backlog',
    { dispatchDueSince: NOW - 90 * MINUTE, queued: 10_000 },
    [/Dispatches are behind:.* 10,000\+ queued.* 1 h/],
  ],
  [
    'a token that expires, or has expired',
    { tokenExpiresAt: NOW + 9 * 1440 * MINUTE },
    [/GITHUB_TOKEN expires on .*2026-03-10 12:00:00/],
  ],
])('the banner shows %s', async (_what, health, expected) => {
  const items = String(await banner({ ...WELL, ...health }, NOW)).match(/<li>.*?<\/li>/gs) ?? []
  expect(items).toHaveLength(expected.length)
  for (const [i, pattern] of expected.entries()) expect(items[i]).toMatch(pattern)
})

test('what happens is counted by the hour, and kept for two days', async () => {
  const real = await openStore({ kind: 'sqlite', path: `${temporaryFolder()}/relay.db` }, 0)
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
  tally.transition({ ...applied, change: { state: 'failed', reason: 'no' } })
  tally.transition({ ...applied, change: { state: 'queued' } })
  await tally.flush()
  const none = { accepted: 0, finished: 0, failed: 0, cancelled: 0 }
  const first = { ...none, hour: NOW, accepted: 2 }
  expect(await store.hours(0)).toEqual([first, { ...none, hour: NOW + 60 * MINUTE, failed: 1 }])
  now += 49 * 60 * MINUTE
  await store.accept(aDelivery())
  await tally.stop()
  expect((await store.hours(0)).map(({ hour }) => (hour - NOW) / MINUTE)).toEqual([3000])
  await real.close()
  await tally.stop()
  expect(errors).toEqual([])
})
