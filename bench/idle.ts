import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../relay/config/config.ts'
import { openBackend } from '../relay/store/open.ts'
import { startGitHubApi } from '../simulator/github/github.ts'
import { startPortApi } from '../simulator/port/port.ts'
import { fillStore } from './million.ts'
import { cpuTime, memory, startServer } from './processes.ts'
import { CLONE, IMAGE, NPX, relayEnvironment } from './relay-environment.ts'

const SETTLES_MS = 10_000
const MEASURED_MS = 60_000
const STORED = 100_000

const CASES = [
  { label: 'SQLite, npm start', ...CLONE, store: 'sqlite', stored: 0, mb: '≤ 1.5 × npx' },
  { label: 'SQLite, npx', ...NPX, store: 'sqlite', stored: 0, mb: '≤ 90' },
  { label: 'SQLite, image', ...IMAGE, store: 'sqlite', stored: 0, mb: '≤ 90' },
  { label: `SQLite, ${STORED} stored, npx`, ...NPX, store: 'sqlite', stored: STORED, mb: '' },
  { label: 'PostgreSQL, npx', ...NPX, store: 'postgres', stored: 0, mb: '≤ 90' },
  { label: `PostgreSQL, ${STORED} stored, npx`, ...NPX, store: 'postgres', stored: STORED, mb: '' },
] as const

export interface Idle {
  label: string
  /** Percent of one core. */
  cpu: number
  /** Resident memory at the end, MB. */
  mb: number
  /** Requests per hour, extrapolated. */
  githubRequests: number
  portRequests: number
  goal: string
}

/** Measures an idle relay's resource usage while GitHub and Port are reachable. All relays run concurrently. */
export async function idle(createDatabase: () => Promise<string>): Promise<Idle[]> {
  return await Promise.all(CASES.map(each => measure(each, createDatabase)))
}

async function measure(
  { label, file, flags, env: own, store, stored, mb }: (typeof CASES)[number],
  createDatabase: () => Promise<string>,
): Promise<Idle> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  github.addRepository('acme/shop')
  try {
    const database = store === 'postgres' ? await createDatabase() : `sqlite:${join(folder.path, 'relay.db')}`
    const env = {
      ...relayEnvironment(database, github.url),
      ...own,
      GITHUB_TOKEN: github.token,
      PORT_CLIENT_ID: port.clientId,
      PORT_CLIENT_SECRET: port.clientSecret,
      PORT_API_URL: port.url,
    }
    if (stored > 0) {
      const backend = await openBackend(readConfig(env).database)
      await fillStore(backend, stored)
      await backend.close()
    }
    await using relay = await startServer(file, env, flags)
    await sleep(SETTLES_MS)
    const requests = () => ({ github: github.requests.length, port: port.requests.length })
    const before = { ...requests(), cpu: cpuTime(relay.child.pid), at: performance.now() }
    await sleep(MEASURED_MS)
    const after = { ...requests(), cpu: cpuTime(relay.child.pid), at: performance.now() }
    const ms = after.at - before.at
    return {
      label,
      cpu: (after.cpu - before.cpu) / ms / 10,
      mb: memory(relay).now,
      githubRequests: ((after.github - before.github) * 3_600_000) / ms,
      portRequests: ((after.port - before.port) * 3_600_000) / ms,
      goal: `< 0.3 %${mb && `, ${mb} MB`}`,
    }
  } finally {
    await Promise.all([port.close(), github.close()])
  }
}
