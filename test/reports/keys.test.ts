import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createOidcVerifier } from '../../relay/reports/verify-oidc.ts'
import { startOidcIssuer } from '../support/oidc-issuer.ts'

const AUDIENCE = 'https://relay.example'
const RUN = { repository: 'acme/shop', repositoryId: 7, runId: 42 }

async function openVerifier(options: { cooldownMs?: number; cacheMs?: number; timeoutMs?: number } = {}) {
  const issuer = await startOidcIssuer()
  onTestFinished(() => issuer.close())
  const verify = createOidcVerifier({
    issuer: issuer.url,
    audience: AUDIENCE,
    clock: Date.now,
    log: { warn: () => {} },
    ...options,
  })
  return { issuer, verify, token: () => issuer.token(RUN, AUDIENCE) }
}
const refused = (status: number) => expect.objectContaining({ name: 'Problem', status })

test('the issuer’s keys are fetched once, and again for a key that is not among them', async () => {
  const { issuer, verify, token } = await openVerifier({ cooldownMs: 0 })
  const old = token()
  await Promise.all(Array.from({ length: 20 }, () => verify(old)))
  expect(issuer.requests).toHaveLength(1)
  await issuer.rotate()
  await expect(verify(token())).resolves.toMatchObject({ runId: 42, repository: 'acme/shop' })
  await expect(verify(old)).resolves.toBeTruthy()
  expect(issuer.requests).toHaveLength(2)
})

test('a key that the issuer has taken back is refused once the set is fetched again', async () => {
  const { issuer, verify, token } = await openVerifier({ cacheMs: 50, cooldownMs: 0 })
  const old = token()
  await verify(old)
  await issuer.rotate({ forget: true })
  await sleep(60)
  await expect(verify(old)).rejects.toEqual(refused(401))
  await expect(verify(token())).resolves.toBeTruthy()
})

test('unknown keys do not make the relay ask the issuer again and again', async () => {
  const { issuer, verify, token } = await openVerifier({ cooldownMs: 60_000 })
  await verify(token())
  for (let i = 0; i < 20; i++) {
    await expect(verify(issuer.sign(issuer.claims(RUN, AUDIENCE), { kid: `k${i}` }))).rejects.toEqual(
      refused(401),
    )
  }
  expect(issuer.requests).toHaveLength(1)
})

test('an issuer that is down, slow, or answers something else is told as such, and nothing is accepted', async () => {
  const { issuer, verify, token } = await openVerifier({ cacheMs: 20, cooldownMs: 0, timeoutMs: 100 })
  for (const trouble of [
    { cut: 'before' as const },
    { status: 500 },
    { status: 200, body: 'hello' },
    { status: 200, body: {} },
    { delayMs: 400 },
  ]) {
    issuer.fail(trouble)
    await expect(verify(token())).rejects.toEqual(refused(503))
  }
  await expect(verify(token())).resolves.toBeTruthy()
  await sleep(30)
  await issuer.stop()
  await expect(verify(token())).rejects.toEqual(refused(503))
  await issuer.start()
  await expect(verify(token())).resolves.toBeTruthy()
})
