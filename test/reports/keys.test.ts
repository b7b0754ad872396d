import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createOidcVerifier } from '../../relay/reports/oidc.ts'
import { startOidcIssuer } from '../../simulator/github/oidc-issuer.ts'

const AUDIENCE = 'https://relay.example'
const RUN = { repository: 'acme/shop', repositoryId: 7, runId: 42 }

async function openVerifier(options: { cooldownMs?: number; cacheMs?: number; timeoutMs?: number } = {}) {
  const issuer = await startOidcIssuer()
  onTestFinished(() => issuer.close())
  const verify = createOidcVerifier({
    ...{ issuer: issuer.url, audience: AUDIENCE, clock: Date.now },
    ...{ log: { warn: () => {} }, throttled: { warn: () => {} } },
    ...options,
  })
  const forged = (n: number) => issuer.sign(issuer.claims(RUN, AUDIENCE), { kid: `k${n}` })
  return { issuer, verify, token: () => issuer.token(RUN, AUDIENCE), forged }
}
const refused = (status: number) => expect.objectContaining({ name: 'Problem', status })

test('fetches the issuer’s keys once, and again for an unknown key', async () => {
  const { issuer, verify, token } = await openVerifier({ cooldownMs: 0 })
  const old = token()
  await Promise.all(Array.from({ length: 20 }, () => verify(old)))
  expect(issuer.requests).toHaveLength(1)
  await issuer.rotate()
  await expect(verify(token())).resolves.toMatchObject({ runId: 42, repository: 'acme/shop' })
  await expect(verify(old)).resolves.toBeTruthy()
  expect(issuer.requests).toHaveLength(2)
})

test('rejects a revoked key once the JWKS is refetched', async () => {
  const { issuer, verify, token } = await openVerifier({ cacheMs: 50, cooldownMs: 0 })
  const old = token()
  await verify(old)
  await issuer.rotate({ forget: true })
  await sleep(60)
  await expect(verify(old)).rejects.toEqual(refused(401))
  await expect(verify(token())).resolves.toBeTruthy()
})

test('refuses a key that is missing from a recent JWKS, and does not refetch the JWKS during the cooldown', async () => {
  const { issuer, verify, token, forged } = await openVerifier({ cooldownMs: 1_000 })
  await verify(token())
  for (let i = 0; i < 20; i++) await expect(verify(forged(i))).rejects.toEqual(refused(503))
  expect(issuer.requests).toHaveLength(1)
  await sleep(1_010)
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => expect(verify(forged(i))).rejects.toEqual(refused(401))),
  )
  expect(issuer.requests).toHaveLength(2)
})

test('responds with 503 and Retry-After to a key that may be newer than the cached JWKS', async () => {
  const { issuer, verify, token, forged } = await openVerifier({ cooldownMs: 1_000 })
  const { kid, publicKey } = issuer
  const old = token()
  await issuer.rotate()
  issuer.fail({ status: 200, body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' }] } })
  await verify(old)
  const refusal = await verify(token()).catch(error => error)
  expect(refusal).toEqual(refused(503))
  expect(refusal.headers['retry-after']).toBe('1')
  expect(refusal.message).toMatch(/^The relay doesn't know the key of this OIDC token\. /)
  await sleep(1_000)
  // An unrelated token triggers the refetch. Then the token with the new key is accepted.
  await verify(forged(1)).catch(() => {})
  await expect(verify(token())).resolves.toBeTruthy()
})

test('while the issuer fails, known keys remain valid, and forged tokens cause no additional requests to the issuer', async () => {
  const { issuer, verify, token, forged } = await openVerifier({ cacheMs: 30, cooldownMs: 500 })
  const good = token()
  await verify(good)
  await sleep(510)
  const before = issuer.requests.length
  issuer.fail({ status: 200, body: { keys: [] }, times: Number.POSITIVE_INFINITY })
  for (let i = 0; i < 20; i++) await expect(verify(forged(i))).rejects.toEqual(refused(503))
  await expect(verify(good)).resolves.toBeTruthy()
  expect(issuer.requests.length - before).toBeLessThanOrEqual(2)
})

test('refuses tokens with 503 while the issuer is down, slow, or responds without keys', async () => {
  const { issuer, verify, token } = await openVerifier({ cacheMs: 20, cooldownMs: 0, timeoutMs: 1_000 })
  const noKeys = [
    { status: 200, body: 'hello' },
    { status: 200, body: {} },
  ]
  for (const failure of [{ cut: 'before' as const }, { status: 500 }, ...noKeys, { delayMs: 2_000 }]) {
    issuer.fail(failure)
    await expect(verify(token())).rejects.toEqual(refused(503))
  }
  await issuer.stop()
  await expect(verify(token())).rejects.toEqual(refused(503))
  await issuer.start()
  await expect(verify(token())).resolves.toBeTruthy()
  await sleep(30)
  await issuer.stop()
  await expect(verify(token())).resolves.toBeTruthy()
})
