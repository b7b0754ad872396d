import { writeFileSync } from 'node:fs'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { doctor } from '../../cli/doctor.ts'
import { RUNBOOK } from '../../relay/admin/dashboard/banner.ts'
import {
  CHECK_MS,
  createPublicAddress,
  newChallenge,
  signChallenge,
} from '../../relay/admin/public-address.ts'
import { until } from '../../simulator/http-server.ts'
import { readSeries } from '../operate/read-series.ts'
import type { AlertBody } from '../support/alert-endpoint.ts'
import { createCertificate } from '../support/certificate.ts'
import { listenHere } from '../support/listen-here.ts'
import { openProxy } from '../support/proxy.ts'
import { openReceiving } from '../support/receiving.ts'
import { openRelayHere, relayEnv, startRelay, startServices, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, readPage, signIn } from '../support/requests.ts'
import { run } from '../support/run-command.ts'

/** This machine, but not by an address that the relay recognizes as its own. */
const HOST = '0.0.0.0'
const KEY = 'the key of this database'

/** Starts a server with TLS until the test finishes. @returns its address */
async function openTls(listener: RequestListener, certificate = createCertificate(HOST), isTrusted = true) {
  if (isTrusted) {
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, certificate.cert])
    onTestFinished(() => setDefaultCACertificates(before))
  }
  return `https://${HOST}:${await listenHere(createServer(certificate, listener))}`
}

/** Returns a listener that responds like a relay with this key. */
const relayWith =
  (key: string): RequestListener =>
  (request, response) => {
    const challenge = new URL(request.url!, 'https://relay').searchParams.get('challenge') ?? ''
    response.end(JSON.stringify({ ok: true, hmac: signChallenge(key, challenge) }))
  }
const responding =
  (status: number, headers: Record<string, string> = {}, body = ''): RequestListener =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)

test('GET /healthz signs a challenge of 32 to 64 characters, and ignores others', async () => {
  const { request } = await openReceiving()
  const signed = await request(`/healthz?challenge=${newChallenge()}`)
  expect(await signed.json()).toEqual({ ok: true, hmac: expect.stringMatching(/^[\w-]{43}$/) })
  expect(signed.headers.get('cache-control')).toBe('no-store')
  for (const wrong of ['', 'a'.repeat(31), 'a'.repeat(65), `${'a'.repeat(31)}+`])
    expect(await (await request(`/healthz?challenge=${wrong}`)).json()).toEqual({ ok: true })
})

test('relays of one database sign a challenge alike, but a relay of another database signs it differently', async () => {
  const [env, challenge] = [relayEnv(), newChallenge()]
  const hmac = async (env: Record<string, string>) => {
    const relay = await openRelayHere(env)
    const { hmac } = (await (await fetch(`${relay.url}/healthz?challenge=${challenge}`)).json()) as {
      hmac: string
    }
    await relay.stop()
    return hmac
  }
  const first = await hmac(env)
  expect(await hmac(env)).toBe(first)
  expect(await hmac(relayEnv())).not.toBe(first)
})

/** Checks the address twice. Returns the text of the problem, or what Status shows. */
async function check(url: string): Promise<string> {
  const logged: string[] = []
  const address = createPublicAddress({
    ...{ config: { publicUrl: url, checkPublicUrl: true }, key: KEY, clock: () => 0 },
    throttled: { warn: (_, message) => void logged.push(message ?? '') },
  })
  await address.check()
  expect(address.status()!.kind).not.toBe('failed')
  const wait = await address.check()
  const { kind, text, advice } = address.status()!
  const isFailed = kind === 'failed'
  expect([logged.length, wait]).toEqual([isFailed ? 2 : 0, isFailed ? 30_000 : CHECK_MS])
  return isFailed
    ? `${text.replace(/^.* hasn't led to this relay since .*? UTC: /, '')} ${advice}`
    : text.replace(url, 'URL')
}

const NOT_HERE = 'Correct RELAY_PUBLIC_URL, or correct the address to which the proxy forwards requests.'

test('the check names the cause of each failure, and what to do about it', async () => {
  const { cert, key } = createCertificate(HOST)
  const private_ = await openTls(relayWith(KEY), { cert, key }, false)
  expect(await check(private_)).toMatch(
    /^this machine doesn't trust the CA of \S+'s certificate \(DEPTH_ZERO_SELF_SIGNED_CERT\)\. .*NODE_EXTRA_CA_CERTS/,
  )
  const expired = await openTls(relayWith(KEY), createCertificate(HOST, -1))
  expect(await check(expired)).toBe(
    `the certificate of ${new URL(expired).host} has expired (CERT_HAS_EXPIRED). Renew the certificate, and reload its server or proxy.`,
  )
  const other = await openTls(relayWith(KEY), createCertificate('relay.example.com'))
  expect(await check(other)).toMatch(
    /^the certificate of \S+ is for another name \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Correct the certificate/,
  )
  expect(await check('https://relay.invalid')).toMatch(
    /^the name relay\.invalid doesn't resolve \((ENOTFOUND|EAI_AGAIN)\)\. Correct RELAY_PUBLIC_URL or HTTPS_PROXY, /,
  )
  expect(await check(`https://${HOST}:2`)).toMatch(
    /^nothing accepts connections at 0\.0\.0\.0:2 \(ECONNREFUSED\)\. Correct RELAY_PUBLIC_URL or HTTPS_PROXY, check the firewall/,
  )
})

test.each<[string, RequestListener, string | RegExp]>([
  [
    'a page of nginx',
    responding(200, { server: 'nginx' }, '<html>'),
    `another server responds (200, nginx). ${NOT_HERE}`,
  ],
  ['no end', (_, response) => void response.write('x'.repeat(65_536)), /^another server responds \(200\)\./],
  ['another database', relayWith('another key'), `a relay with another database responds. ${NOT_HERE}`],
  ['404', responding(404), /^the address responds with 404\. Let the proxy forward \/healthz, \/webhook, /],
  [
    '502',
    responding(502),
    /^the address responds with 502\. Start the relay, or correct the address to which the proxy forwards/,
  ],
  [
    'a redirect to another address',
    responding(301, { location: 'https://new.example.com/healthz' }),
    'the address redirects to https://new.example.com. Set RELAY_PUBLIC_URL to that address.',
  ],
  ['a relay of this database', relayWith(KEY), 'This machine reaches the relay at URL.'],
  [
    'a relay of an earlier version',
    responding(200, {}, '{"ok":true}'),
    "URL can't be checked: a relay of an earlier version responds.",
  ],
  ['401', responding(401), "URL can't be checked: the address responds with 401."],
  ['403', responding(403), "URL can't be checked: the address responds with 403."],
  [
    'a redirect to a sign-in',
    responding(302, { location: 'https://login.example.com/?to=healthz' }),
    "URL can't be checked: the address responds with 302.",
  ],
])('the check of an address that responds with %s', async (_, listener, expected) => {
  expect(await check(await openTls(listener))).toEqual(
    typeof expected === 'string' ? expected : expect.stringMatching(expected),
  )
})

test('doctor exits with 1 if the public address does not lead to the relay on this machine', async () => {
  const env = relayEnv()
  const [relay, other] = [await openRelayHere(env), await openRelayHere(relayEnv())]
  const proxyTo =
    ({ url }: { url: string }): RequestListener =>
    async (request, response) => {
      const answer = await fetch(url + request.url)
      response.writeHead(answer.status).end(await answer.text())
    }
  const diagnose = async (more: Record<string, string>) => {
    const { code, stdout } = await run(doctor, [], { ...env, PORT: new URL(relay.url).port, ...more })
    return [code, stdout.split('\n').filter(line => / relay {2}/.test(line))]
  }
  // Without GitHub, which this test doesn't need, other checks find problems.
  const [right, wrong] = [await openTls(proxyTo(relay)), await openTls(proxyTo(other))]
  expect((await diagnose({ RELAY_PUBLIC_URL: right }))[1]).toEqual([
    expect.stringMatching(/^ok .* A relay responds at https:/),
  ])
  expect((await diagnose({ RELAY_PUBLIC_URL: wrong }))[1]).toContainEqual(
    expect.stringMatching(
      /^problem .* doesn't lead to this relay: a relay with another database responds\. /,
    ),
  )
  expect((await diagnose({ RELAY_PUBLIC_URL: wrong, RELAY_CHECK_PUBLIC_URL: 'false' }))[1]).toContainEqual(
    expect.stringMatching(/^warning .* doesn't lead to this relay: /),
  )
  expect((await diagnose({ RELAY_PUBLIC_URL: other.url }))[1]).toContainEqual(
    expect.stringMatching(/^problem .* a relay with another database responds\. /),
  )
})

test('if a certificate has expired, the relay shows the problem and sends an alert, until the certificate is renewed', async () => {
  const alerts: AlertBody[] = []
  const endpoint = createHttp(async (request, response) => {
    alerts.push(JSON.parse(String(Buffer.concat(await request.toArray()))))
    response.end()
  })
  const RELAY_ALERT_URL = `http://127.0.0.1:${await listenHere(endpoint)}`
  const certificate = (days: number) => createCertificate('relay.example.com', days)
  const [expired, renewed] = [certificate(-1), certificate(30)]
  const trusted = join(temporaryFolder(), 'ca.pem')
  writeFileSync(trusted, expired.cert + renewed.cert)
  let relayUrl = ''
  const server = createServer(expired, async (request, response) => {
    response.end(await (await fetch(relayUrl + request.url)).text())
  })
  const proxy = await openProxy(`https://127.0.0.1:${await listenHere(server)}`)
  const relay = await startRelay(
    relayEnv({
      ...{ ...(await startServices()).env, RELAY_ADMIN_TOKEN: ADMIN_TOKEN, RELAY_ALERT_URL },
      ...{ RELAY_PUBLIC_URL: 'https://relay.example.com', HTTPS_PROXY: proxy.url },
      ...{ NODE_EXTRA_CA_CERTS: trusted, CLOCK_SCALE: '20' },
    }),
    ['--import', join(import.meta.dirname, '../support/scale-clock.ts')],
  )
  relayUrl = relay.url
  const metric = async () =>
    readSeries(await (await asAdmin(`${relay.url}/metrics`)).text()).public_url_ok!['']
  await until(() => alerts.length > 0, 'the alert', 60_000)
  const { started } = alerts[0]!
  expect(started).toMatchObject([
    {
      ...{ type: 'public_url_unreachable', side: null, key: '' },
      detail: expect.stringMatching(
        /^RELAY_PUBLIC_URL \(https:\/\/relay.example.com\) hasn't led to this relay since 2.* UTC: the certificate of relay\.example\.com has expired \(CERT_HAS_EXPIRED\)\. Renew the certificate, and reload .*$/,
      ),
      runbook: `${RUNBOOK}#portrelaypublicurlunreachable`,
    },
  ])
  expect(await metric()).toBe(0)
  const cookie = await signIn(relay.url)
  const page = await readPage(`${relay.url}/status`, cookie)
  const [, banner, table] = /class="banner"(.*?)<\/ul>(.*)/s.exec(page)!
  expect(banner).toMatch(/class="outage".*the certificate of .* has expired .*Renew the certificate/s)
  expect(table).toMatch(
    /Public address <span class="state failed">problem.*the certificate of .* has expired/s,
  )
  expect((await fetch(`${relay.url}/readyz`)).status).toBe(200)

  server.setSecureContext(renewed)
  await until(() => alerts.length > 1, 'the alert about the renewal', 60_000)
  expect(alerts[1]!).toMatchObject({ started: [], resolved: [{ type: 'public_url_unreachable' }] })
  expect(await metric()).toBe(1)
  expect(await readPage(`${relay.url}/status`, cookie)).toMatch(
    /Public address <span class="state succeeded">ok/,
  )
}, 180_000)

test('if the proxy in HTTPS_PROXY refuses the request, the address does not count as failed', async () => {
  const proxy = createHttp().on('connect', (_, socket) => void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
  const relay = await startRelay(
    relayEnv({
      ...{ ...(await startServices()).env, RELAY_ADMIN_TOKEN: ADMIN_TOKEN, CLOCK_SCALE: '20' },
      ...{
        RELAY_PUBLIC_URL: 'https://relay.example.com',
        HTTPS_PROXY: `http://127.0.0.1:${await listenHere(proxy)}`,
      },
    }),
    ['--import', join(import.meta.dirname, '../support/scale-clock.ts')],
  )
  const cookie = await signIn(relay.url)
  const isShown = async () =>
    /Public address <span class="state ">off.*the proxy in HTTPS_PROXY refuses/s.test(
      await readPage(`${relay.url}/status`, cookie),
    )
  await until(isShown, 'Status shows the refusal', 60_000)
}, 180_000)
