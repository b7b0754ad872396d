import { expect, test } from 'vitest'
import { LIMITS } from '../../relay/config/limits.ts'
import { MOST_LISTED } from '../../relay/http/refusals.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'

const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'

interface Refused {
  since: string
  refused: (Record<'first_at' | 'last_at' | 'reason' | 'sender', string> &
    Record<'count' | 'status', number> & { repository: string | null })[]
}

async function open(more: Record<string, string> = {}) {
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN, ...more }))
  const headers = { authorization: `Bearer ${RELAY_ADMIN_TOKEN}` }
  return {
    ...relay,
    async refused(limit?: number): Promise<Refused> {
      const response = await fetch(`${relay.url}/api/refused${limit ? `?limit=${limit}` : ''}`, { headers })
      return (await response.json()) as Refused
    },
  }
}

test('the API shows why webhooks were refused, without their bodies', async () => {
  const relay = await open()
  await send(relay.url, { secret: 'wrong', path: '/webhook/acme/shop', body: { inputs: { who: 'Jane' } } })
  await send(relay.url, { timestamp: '1' })
  await send(relay.url, { path: '/webhook/acme/other' })
  await send(relay.url, { path: '/webhook/cancel' })
  await send(relay.url, {})
  const { since, refused } = await relay.refused()
  expect(Date.parse(since)).toBeLessThanOrEqual(Date.now())
  expect(refused.map(({ status, repository, reason }) => [status, repository, reason.slice(0, 40)])).toEqual([
    [422, null, 'The body names no run to cancel: send "e'],
    [403, 'acme/other', "acme/other isn't in RELAY_ALLOWED_REPOSI"],
    [401, null, 'The webhook is older than RELAY_TOLERANC'],
    [401, 'acme/shop', 'The signature does not match: PORT_CLIEN'],
  ])
  for (const each of refused) {
    expect(each).toMatchObject({ sender: '127.0.0.1', count: 1 })
    expect(each.first_at).toBe(each.last_at)
  }
  expect(JSON.stringify(refused)).not.toContain('Jane')
  expect((await relay.refused(1)).refused).toHaveLength(1)
})

test('counts repeated refusals; many refusals of one sender do not displace the refusals of another sender', async () => {
  const relay = await open({ RELAY_TRUSTED_PROXIES: '1' })
  const from = (address: string) => ({ 'x-forwarded-for': address })
  await send(relay.url, { secret: 'wrong', headers: from('192.0.2.1') })
  for (let i = 0; i < 50; i++) await send(relay.url, { secret: 'wrong', headers: from('192.0.2.66') })
  const { refused } = await relay.refused()
  expect(refused.map(({ sender, count }) => [sender, count])).toEqual([
    ['192.0.2.66', 50],
    ['192.0.2.1', 1],
  ])
})

test(`at most ${LIMITS.refused} refusals per reason are kept, so that bots don't displace senders that were refused for another reason`, async () => {
  const relay = await open()
  await send(relay.url, { secret: 'wrong', path: '/webhook/acme/shop' })
  const amount = LIMITS.refused + 20
  for (let i = 0; i < amount; i++) await fetch(`${relay.url}/webhook/acme/r${i}`, { method: 'POST' })
  for (let i = 0; i < amount; i++) await fetch(`${relay.url}/webhook/acme/shop/${i}`, { method: 'POST' })
  await fetch(`${relay.url}/webhook/%3Cscript%3E/${'x'.repeat(5000)}`, { method: 'POST' })
  const { refused } = await relay.refused(MOST_LISTED)
  const of = (start: string) => refused.filter(({ reason }) => reason.startsWith(start)).length
  expect(refused[0]).toMatchObject({ repository: null, count: 1 })
  expect([
    of('The signature does not match'),
    of('The header x-port-timestamp'),
    of('There is nothing'),
  ]).toEqual([1, LIMITS.refused, LIMITS.refused])
})
