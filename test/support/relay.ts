import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { createLog } from '../../relay/log.ts'
import { createRelay } from '../../relay/relay.ts'
import { type GitHubApi, startGitHubApi } from '../../simulator/github/github.ts'
import type { GitHubApiOptions } from '../../simulator/github/types.ts'
import { until } from '../../simulator/http-server.ts'
import { keepPort } from '../../simulator/keep-port.ts'
import { type PortApi, startPortApi } from '../../simulator/port/port.ts'
import { TEST_ENV } from './environment.ts'
import { SECRET } from './requests.ts'
import { openStoreHere } from './store-here.ts'

export type Env = Record<string, string>
type LogLine = { level: number; msg: string; [field: string]: unknown }

export interface Relay {
  url: string
  pid: number
  /** Every log line. */
  log(): LogLine[]
  /** Returns the relay's output on both streams. */
  printed(): string
  /** Sends SIGTERM. Resolves with the exit code. */
  stop(): Promise<number | null>
  /** Sends SIGKILL. */
  kill(): Promise<void>
}

/** Starts a relay process on a free port, and kills it after the test. `flags` are Node flags. */
export async function startRelay(env: Env = {}, flags: string[] = []): Promise<Relay> {
  const { child, output } = spawnRelay({ HOST: '127.0.0.1', PORT: '0', ...env }, [], flags)
  const lines = () => linesOf(output.stdout)
  const gone = () => child.exitCode !== null || child.signalCode !== null
  const listening = () => lines().find(line => line.msg === 'listening')
  await until(() => gone() || listening(), 'the relay listens')
  const port = listening()?.port
  if (port === undefined) throw new Error(`The relay exited: ${output.stderr}`)
  const end = async (signal: NodeJS.Signals) => {
    if (gone()) return
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    log: lines,
    printed: () => output.stdout + output.stderr,
    async stop() {
      await end('SIGTERM')
      return child.exitCode
    },
    kill: () => end('SIGKILL'),
  }
}

/** Starts a relay in this process, which is faster than a separate process. For tests that don't kill the relay. */
export async function openRelayHere(env: Env = {}): Promise<Relay> {
  let printed = ''
  const log = createLog(env.LOG_LEVEL ?? 'info', { write: (line: string) => (printed += line) })
  const config = readConfig({ HOST: '127.0.0.1', PORT: String(await keepPort()), ...env })
  const { database } = config
  const opening = database.kind === 'sqlite' ? openStoreHere(database.path) : undefined
  const relay = await createRelay(config, log, opening)
  let stopping: Promise<void> | undefined
  const stop = async () => {
    stopping ??= relay.stop()
    await stopping
    return 0
  }
  onTestFinished(() => stop().then(() => {}))
  return {
    url: `http://127.0.0.1:${relay.port}`,
    pid: process.pid,
    log: () => linesOf(printed),
    printed: () => printed,
    stop,
    async kill() {
      throw new Error('Only a relay that is a process can be killed: startRelay starts one.')
    },
  }
}

/** Runs a relay that is expected to exit by itself. */
export async function runRelay(env: Env, args: string[] = []): Promise<Output & { code: number | null }> {
  const { child, output } = spawnRelay(env, args)
  await once(child, 'close')
  return { code: child.exitCode, ...output }
}

/** Returns the relay's minimal environment, with a new database. */
export function relayEnv(more: Env = {}): Env {
  return {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: 'github_pat_none',
    GITHUB_API_URL: 'http://127.0.0.1:9',
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: `sqlite:${join(temporaryFolder(), 'relay.db')}`,
    ...more,
  }
}

/** Starts a fake Port and a fake GitHub, and returns the relay's variables for them. */
export async function startServices(
  options: GitHubApiOptions = {},
): Promise<{ port: PortApi; github: GitHubApi; env: Env }> {
  const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi(options)])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  const env = {
    ...{ PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token },
  }
  return { port, github, env }
}

/** Creates an empty folder, and removes it after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'relay-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function spawnRelay(env: Env, args: string[] = [], flags: string[] = []) {
  const main = join(import.meta.dirname, '../../cli/main.ts')
  const child = spawn(process.execPath, [...flags, main, ...args], {
    env: { ...TEST_ENV, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  const output: Output = { stdout: '', stderr: '' }
  child.stdout!.on('data', chunk => (output.stdout += chunk))
  child.stderr!.on('data', chunk => (output.stderr += chunk))
  return { child, output }
}

const linesOf = (printed: string) =>
  printed
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as LogLine)

type Output = { stdout: string; stderr: string }
