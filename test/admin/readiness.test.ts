import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { doctor } from '../../cli/doctor.ts'
import { PortError, type PortErrorKind } from '../../port/client/errors.ts'
import { createSides } from '../../relay/admin/sides.ts'
import { readConfig } from '../../relay/config/config.ts'
import { whyNotWritable } from '../../relay/store/failures.ts'
import type { GitHubApi, GitHubApp } from '../../simulator/github/github.ts'
import { type Fault, until } from '../../simulator/http-server.ts'
import { readSeries } from '../operate/read-series.ts'
import { openRelayHere, relayEnv, startServices, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, readPage, send, signIn } from '../support/requests.ts'
import { run } from '../support/run-command.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { placeDeliveries } from './place-deliveries.ts'

interface Ready {
  ok: boolean
  checks: Record<'database' | 'github' | 'port', { ok: boolean; detail?: string; last_success?: string }>
}

const TIME = expect.stringMatching(/^2\d{3}-.*Z$/)

async function open(more: (github: GitHubApi) => Record<string, string> = () => ({})) {
  const { port, github, env: services } = await startServices()
  const env = relayEnv({ ...services, ...more(github) })
  let relay = await openRelayHere(env)
  const restart = async (more: Record<string, string> = {}) => {
    await relay.stop()
    relay = await openRelayHere({ ...env, ...more })
  }
  const ready = async () => {
    const response = await fetch(`${relay.url}/readyz`)
    return { status: response.status, ...((await response.json()) as Ready) }
  }
  const shows = (what: string, check: (checks: Ready['checks']) => boolean) =>
    until(async () => check((await ready()).checks), what, 60_000)
  return { port, github, relay, env, restart, ready, shows }
}

test('an idle relay checks GitHub and Port, and /readyz shows why they are down until they recover', async () => {
  const { port, github, relay, ready, shows } = await open()
  const unchecked = { ok: true, detail: 'not checked yet', last_success: null }
  expect(await ready()).toEqual({
    ...{ status: 200, ok: true },
    checks: { database: { ok: true }, github: unchecked, port: unchecked },
  })
  await shows('GitHub and Port were checked', checks => !checks.github.detail && !checks.port.detail)
  const side = { ok: true, last_success: TIME }
  const well = { status: 200, ok: true, checks: { database: { ok: true }, github: side, port: side } }
  expect(await ready()).toEqual(well)

  await Promise.all([github.stop(), port.stop()])
  // A request that fails shows the outage before the next check does.
  await send(relay.url, { body: { run: { id: port.createRun().id } } })
  await shows('GitHub and Port are down', checks => !checks.github.ok && !checks.port.ok)
  const { checks, ...others } = await ready()
  expect(others).toEqual({ status: 200, ok: true })
  expect(checks.github).toEqual({
    ...{ ok: false, last_success: TIME },
    detail: expect.stringMatching(
      /^GitHub unreachable since 2\S+ \S+ UTC: nothing accepts connections at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)\.$/,
    ),
  })
  expect(checks.port.detail).toMatch(
    /^Port unreachable since 2\S+ \S+ UTC: nothing accepts connections at 127.* \(ECONNREFUSED\)\.$/,
  )
  for (const name of ['GitHub', 'Port']) {
    const lines = relay.log().filter(({ msg }) => msg === `a request to ${name} failed`)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      level: 40,
      reason: expect.stringContaining('(ECONNREFUSED)'),
      since: TIME,
    })
  }

  await Promise.all([github.start(), port.start()])
  await shows('GitHub and Port respond again', ({ github, port }) => github.ok && port.ok)
  expect(await ready()).toEqual(well)
})

test("/readyz doesn't call GitHub unreachable if GitHub responds with 500 to one dispatch", async () => {
  const { github, port, relay, ready, shows } = await open()
  await shows('GitHub was checked', checks => !checks.github.detail)
  github.failures.serverError({ create: false, times: Number.POSITIVE_INFINITY })
  await send(relay.url, { body: { run: { id: port.createRun().id } } })
  const lost = "GitHub's response to the dispatch was lost"
  await until(() => relay.log().some(({ msg }) => msg === lost), 'GitHub responded', 60_000)
  expect((await ready()).checks.github).toEqual({ ok: true, last_success: TIME })
})

test('/readyz names the credentials that GitHub and Port reject', async () => {
  const { shows, ready } = await open(() => ({ GITHUB_TOKEN: 'invented', PORT_CLIENT_ID: 'invented' }))
  await shows('both credentials are rejected', ({ github, port }) => !github.ok && !port.ok)
  const { github, port } = (await ready()).checks
  expect(github.detail).toMatch(/^GitHub rejects GITHUB_TOKEN \(401/)
  expect(port.detail).toMatch(/^Port rejects PORT_CLIENT_ID or PORT_CLIENT_SECRET \(401/)
})

test('after a newer relay has upgraded the database, an older relay accepts webhooks, but leaves all work to the newer one, and shows why', async () => {
  const url = await newDatabase()
  const { port, github, relay, ready } = await open(() => ({
    ...{ RELAY_DATABASE: url, RELAY_ADMIN_TOKEN: ADMIN_TOKEN },
  }))
  const database = new pg.Client(url)
  await database.connect()
  onTestFinished(() => database.end())
  await database.query('UPDATE relay_schema SET version = version + 1')
  const noticed = () => relay.log().some(({ msg }) => msg.startsWith('a newer relay has upgraded'))
  await until(noticed, 'the relay notices the upgrade', 60_000)
  const { id } = port.createRun()
  expect((await send(relay.url, { body: { run: { id } } })).status).toBe(202)
  const detail = expect.stringMatching(/^A newer relay has upgraded the database.* still accepts webhooks/)
  await until(async () => (await ready()).status === 503, 'the relay is not ready', 60_000)
  expect((await ready()).checks).toMatchObject({ database: { ok: true }, schema: { ok: false, detail } })

  // Otherwise, Prometheus and RELAY_ALERT_URL would send critical alerts that the database accepts no writes.
  const series = readSeries(await (await asAdmin(`${relay.url}/metrics`)).text())
  expect(series.database_ok).toEqual({ '': 1 })
  const page = await readPage(`${relay.url}/status`, await signIn(relay.url))
  expect(page).toMatch(/class="banner".*A newer relay has upgraded the database/s)
  expect(page).not.toMatch(/refused with 503|refused webhooks again/)

  await database.query('UPDATE deliveries SET queued_at = 0')
  // A relay of this version would dispatch at once, and would notify Port of the long wait within a second.
  await sleep(3_000)
  const { rows } = await database.query('SELECT state, attempts, shown_cause FROM deliveries')
  expect(rows).toEqual([{ state: 'queued', attempts: '0', shown_cause: '' }])
  expect(github.dispatches).toEqual([])
}, 180_000)

test('a full disk, an old queue, a rejected credential, and an outage of Port are all shown at the same time', async context => {
  const folder = join(temporaryFolder(), 'disk')
  const disk = mountSmallDisk(folder, '16m')
  if (!disk) return context.skip('no file system can be mounted here')
  onTestFinished(disk.unmount)
  await placeDeliveries(join(folder, 'relay.db'), [{ runId: 'r_1', receivedAt: Date.now() - 20 * 60_000 }])
  const { port, relay, env, ready, shows } = await open(() => ({
    ...{ GITHUB_TOKEN: 'invented', RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}` },
    ...{ RELAY_ADMIN_TOKEN: ADMIN_TOKEN },
  }))
  await port.stop()
  disk.fill()
  await shows('the three problems', checks => Object.values(checks).every(({ ok }) => !ok))
  const { status, checks } = await ready()
  expect([status, checks.database.detail]).toEqual([503, expect.stringContaining('the disk is full')])
  const texts = [/the disk is full/, /GitHub rejects GITHUB_TOKEN \(401/, /Port unreachable since/]

  const page = await readPage(`${relay.url}/status`, await signIn(relay.url))
  const [, banner, table] = /class="banner"(.*?)<\/ul>(.*)/s.exec(page)!
  for (const text of texts) for (const place of [banner, table]) expect(place).toMatch(text)
  expect(banner).toMatch(/refused with 503\. 1 queued/)
  expect(table).toMatch(/rate limit .*Not known yet/)
  expect(table).toMatch(/Queue <span class="state waiting">late.*1 queued/)

  const series = readSeries(await (await asAdmin(`${relay.url}/metrics`)).text())
  expect(series).toMatchObject({ database_ok: { '': 0 }, credential_ok: { github: 0 } })
  expect(series.oldest_due_age_seconds!.dispatch).toBeGreaterThan(900)

  const { stdout } = await run(doctor, [], { ...env, RELAY_PUBLIC_URL: relay.url })
  const told = [...texts, /database .* the disk is full/, /github .*\(401/, /port .* ECONNREFUSED/]
  for (const text of told) expect(stdout).toMatch(text)
  // Another cause would be wrong.
  for (const place of [banner, stdout])
    expect(place).not.toMatch(/RELAY_DISPATCH_RATE|Nothing was dispatched/)
})

test('/readyz names each owner who suspended the App, even after a restart, unless the App was replaced', async () => {
  const of = (app: GitHubApp) => ({ GITHUB_APP_ID: `${app.id}`, GITHUB_APP_PRIVATE_KEY: app.privateKey })
  const { github, relay, restart, ready, shows } = await open(github => ({
    ...{ GITHUB_TOKEN: '', RELAY_REPOSITORY: '', RELAY_ALLOWED_REPOSITORIES: '*/shop' },
    ...of(github.createApp()),
  }))
  const body = { message: 'This installation has been suspended' }
  const match: Fault['match'] = ({ path }) => path.endsWith('/access_tokens')
  github.fail({ match, status: 403, body, times: Number.POSITIVE_INFINITY })
  for (const owner of ['acme', 'zeta']) {
    github.addRepository(`${owner}/shop`)
    const path = `/webhook/${owner}/shop?event_type=deploy`
    await send(relay.url, { path, body: { owner } })
  }
  const isShown = ({ github }: Ready['checks']) =>
    ['acme', 'zeta'].every(owner =>
      RegExp(`suspended[^.]* \\(${owner}\\)\\. Next attempt`).test(github.detail ?? ''),
    )
  await shows('/readyz names both owners', isShown)
  await restart()
  expect((await ready()).checks).toSatisfy(isShown)
  await restart(of(github.createApp()))
  expect((await ready()).checks.github.ok).toBe(true)
})

test.each([
  ['25006', 'it is a read-only replica. Connect to the primary server.'],
  ['REPLACED', 'its file was deleted or replaced. Put the file back, or restart the relay.'],
])('the cause of a database failure is named by its code (%s), not by its message', (code, why) => {
  const cause = Object.assign(new Error('the disk is full'), { code })
  expect(whyNotWritable(new Error('/full/relay.db: the disk is full', { cause }))).toBe(why)
})

const openSides = () =>
  createSides({
    ...{ config: readConfig(relayEnv()), clock: () => 0, checks: () => [] },
    ...{ pauses: { rejected: () => [] }, throttled: { warn() {}, error() {} } },
  })

test('a response of GitHub or Port counts as an outage only if it is a 5xx or comes from a proxy', () => {
  const problemsAfter = (observe: (sides: ReturnType<typeof createSides>) => void) => {
    const sides = openSides()
    observe(sides)
    return sides.problems().map(({ type, advice }) => `${type} ${advice}`.trim())
  }
  const id = { 'x-github-request-id': '1' }
  const github = (status: number, headers: Record<string, string> = id) =>
    problemsAfter(sides => sides.observeGitHub(new Response(null, { status, headers })))
  expect(problemsAfter(each => each.observeGitHub(null, Error())).join()).toContain(' Check GITHUB_API_URL, ')
  const port = (kind: PortErrorKind, status: number | null) =>
    problemsAfter(sides => sides.observePort(new PortError(kind, '', { status })))
  for (const status of [200, 404, 422, 429]) expect(github(status)).toEqual([])
  expect([github(502), github(403, {}), github(401)].flat()).toEqual([
    ...[
      'unreachable See https://www.githubstatus.com. The relay tries again by itself.',
      'unreachable Check GITHUB_API_URL (http://127.0.0.1:9), HTTPS_PROXY, and the gateways in between.',
      'credential_rejected Set a new token. After a change, restart the relay.',
    ],
  ])
  expect([port('unknown_run', 404), port('unreachable', 404), port('later', 429)].flat()).toEqual([])
  expect([port('unreachable', 503), port('unreachable', null), port('credentials', 401)].flat()).toEqual([
    'unreachable See https://status.port.io. The relay tries again by itself.',
    'unreachable Check PORT_API_URL, HTTPS_PROXY, and the firewall.',
    'credential_rejected Set the client ID and secret that Port shows under Credentials. After a change, restart the relay.',
  ])
})
