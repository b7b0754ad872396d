import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { doctor } from '../../relay/cli/doctor.ts'
import { ALERT_SECRET, openAlertEndpoint } from '../support/alert-endpoint.ts'
import { run } from '../support/run-command.ts'
import { send } from '../support/send.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { ADMIN_TOKEN, type System, withSystem } from './system.ts'

/** `NOTICED=complete` also waits for alerts about problems that last five minutes. */
const COMPLETE = process.env.NOTICED === 'complete'
const LIMIT_MS = COMPLETE ? 420_000 : 180_000
const CLOCK_AHEAD_MS = 400_000

/** The places that an operator checks. */
const PLACES = ['log', 'metrics', 'dashboard', '/readyz', 'alert', 'doctor'] as const
type Place = (typeof PLACES)[number]

interface Fault {
  env?: Record<string, string>
  flags?: string[]
  /** @param folder the database's folder */
  start(system: System, folder: string): Promise<unknown>
  /** What each place must show. Places that aren't listed aren't checked. */
  shows: Partial<Record<Place, RegExp>>
}

let runs = 0
async function deliver({ relay, port }: System) {
  const { id } = port.createRun({ id: `r_${++runs}` })
  await send(relay.url, { path: '/webhook/acme/shop-0?event_type=deploy', body: { run: { id } } })
}
const DATABASE = {
  log: /database unavailable; retrying/,
  metrics: /webhooks_total\{result="503"\} [1-9]/,
  dashboard: /The database \(RELAY_DATABASE\) (doesn't accept writes|is unavailable)/,
  '/readyz': /"database":\{"ok":false/,
  alert: /The database \(RELAY_DATABASE\) is unavailable or read-only/,
  doctor: /^problem .*RELAY_DATABASE/m,
}

function down(side: 'github' | 'port', name: string, metrics: RegExp, rest = ''): Fault {
  const since = RegExp(`${name} unreachable since .*: connection refused \\(ECONNREFUSED\\)`)
  return {
    async start(system) {
      await system[side].stop()
      await deliver(system)
    },
    shows: {
      log: RegExp(`\\(ECONNREFUSED\\).*a request to ${name} failed`),
      ...{ '/readyz': since, metrics, dashboard: RegExp(since.source + rest) },
      ...(COMPLETE && { alert: since }),
      doctor: RegExp(`^problem .*${name}.*ECONNREFUSED`, 'm'),
    },
  }
}

const FAULTS: Record<string, Fault> = {
  'wrong secret': {
    env: { PORT_CLIENT_SECRET: 'another-secret' },
    start: deliver,
    shows: {
      log: /The signature doesn't match.*a Port webhook is refused/,
      metrics: /webhooks_total\{result="401"\} 1/,
      dashboard: /1 webhook was refused in the last hour \(1 × 401\).*PORT_CLIENT_SECRET/,
      '/readyz': /Port rejects PORT_CLIENT_ID or PORT_CLIENT_SECRET \(401\)/,
      alert: /Port rejects PORT_CLIENT_ID or PORT_CLIENT_SECRET \(401\)/,
      doctor: /^problem .*PORT_CLIENT_SECRET/m,
    },
  },
  'wrong token': {
    env: { GITHUB_TOKEN: 'github_pat_invented' },
    start: deliver,
    shows: {
      log: /GitHub rejects the relay's credential: deliveries are waiting/,
      metrics: /credential_ok\{side="github"\} 0/,
      dashboard: /GitHub rejects GITHUB_TOKEN \(401.* Next attempt at .* 1 queued/,
      '/readyz': /GitHub rejects GITHUB_TOKEN \(401/,
      alert: /GitHub rejects GITHUB_TOKEN \(401/,
      doctor: /^problem .*GITHUB_TOKEN/m,
    },
  },
  'Port down': down('port', 'Port', /port_requests_total\{outcome="unreachable"\} [1-9]/),
  'GitHub down': down(
    'github',
    'GitHub',
    /oldest_due_age_seconds\{work="dispatch"\} [1-9]/,
    '\\..* 1 queued',
  ),
  'disk full': {
    async start(system, folder) {
      disks.get(folder)?.fill()
      for (let n = 0; n < 20; n++) await deliver(system)
    },
    shows: DATABASE,
  },
  'wrong clock': {
    flags: ['--import', join(import.meta.dirname, '../support/shift-clock.ts')],
    start: deliver,
    shows: {
      log: /timeouts are suspended: a clock is wrong/,
      metrics: /github_clock_offset_seconds -(39|40)\d/,
      dashboard: /clock of .* is 6 min \d+ s ahead of GitHub's.* no timeout ends.*older than RELAY_TOLERANCE/,
      '/readyz': /"github":\{"ok":false,"detail":"The clock of .* is 6 min \d+ s ahead of GitHub's/,
      doctor: /^problem .*The running relay: The clock of .* is 6 min \d+ s ahead of GitHub's/m,
    },
  },
  'locked database': {
    async start(system, folder) {
      const other = new DatabaseSync(join(folder, 'relay.db'))
      other.exec('BEGIN IMMEDIATE')
      await deliver(system)
      return other
    },
    shows: DATABASE,
  },
}

const folders = mkdtempSync(join(tmpdir(), 'noticed-'))
const disks = new Map<string, ReturnType<typeof mountSmallDisk>>()
afterAll(() => {
  for (const disk of disks.values()) disk?.unmount()
  rmSync(folders, { recursive: true, force: true })
})

test.concurrent.each(Object.entries(FAULTS))(
  '%s: the operator sees the problem and what to change',
  async (name, fault) => {
    const folder = join(folders, name)
    mkdirSync(folder)
    disks.set(folder, name === 'disk full' ? mountSmallDisk(folder, '16m') : null)
    if (name === 'disk full' && !disks.get(folder)) return
    const endpoint = await openAlertEndpoint()
    const offset = join(folders, `${name}.clock`)
    writeFileSync(offset, String(CLOCK_AHEAD_MS))
    const env = {
      ...{ RELAY_ALERT_URL: endpoint.url, RELAY_ALERT_SECRET: ALERT_SECRET, RELAY_PUBLIC_URL: '' },
      ...{ CLOCK_OFFSET_FILE: offset, ...fault.env },
    }
    const options = { connected: true, repositories: 1, folder, env, flags: fault.flags ?? [] }
    await withSystem(options, async system => {
      await system.relay.start()
      const read = reader(system, () => endpoint.received.map(({ body }) => body.text).join('\n'))
      const start = performance.now()
      const kept = await fault.start(system, folder)
      const found = new Set<Place>()
      const missing = () => PLACES.filter(place => fault.shows[place] && !found.has(place))
      while (missing().length > 0 && performance.now() - start < LIMIT_MS) {
        for (const place of missing()) {
          if (fault.shows[place]!.test(await read(place))) found.add(place)
        }
        await sleep(500)
      }
      if (kept instanceof DatabaseSync) kept.close()
      const shown = await Promise.all(missing().map(async place => `${place}: ${await read(place)}`))
      expect(missing(), shown.join('\n')).toEqual([])
    }).finally(endpoint.stop)
  },
  LIMIT_MS + 120_000,
)

function reader({ relay, env }: System, alerts: () => string): (place: Place) => Promise<string> {
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(relay.url + path, { headers, signal: AbortSignal.timeout(20_000) }).then(
      response => response.text(),
      () => '',
    )
  let cookie = ''
  const places: Record<Place, () => Promise<string> | string> = {
    log: relay.printed,
    alert: alerts,
    metrics: () => get('/metrics', { authorization: `Bearer ${ADMIN_TOKEN}` }),
    '/readyz': () => get('/readyz'),
    async dashboard() {
      const given = { body: new URLSearchParams({ token: ADMIN_TOKEN }), headers: { origin: relay.url } }
      if (!cookie) {
        const response = await fetch(`${relay.url}/sign-in`, { method: 'POST', redirect: 'manual', ...given })
        cookie = response.headers.get('set-cookie')?.split(';')[0] ?? ''
      }
      const page = (await get('/', { cookie })).replace(/<[^>]+>/g, ' ').replaceAll('&#39;', "'")
      return page.replace(/\s+/g, ' ').replace(/ ([.:,])/g, '$1')
    },
    doctor: async () => (await run(doctor, [], { ...env, PORT: new URL(relay.url).port })).stdout,
  }
  return async place => places[place]()
}
