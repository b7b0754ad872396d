import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { until } from '../../tools/simulator/http-server.ts'
import { COMPILE_CACHE } from '../support/compile-cache.ts'
import { freePort } from '../support/free-port.ts'

/** The sources, or the bundle: it starts in half of the time. */
let main = join(import.meta.dirname, '../../relay/main.ts')
export function useBundle(): void {
  main = join(import.meta.dirname, '../../relay/dist/main.js')
}
const KEPT = 256 * 1024

/** Whatever ends the suite, no relay outlives it. */
const alive = new Set<ChildProcess>()
let watching = false
function endWithUs(child: ChildProcess): void {
  if (!watching) process.once('exit', () => alive.forEach(each => void each.kill('SIGKILL')))
  watching = true
  alive.add(child)
  child.once('close', () => alive.delete(child))
}

/** A relay that is killed and started again at one address. */
export interface RelayProcess {
  readonly url: string
  readonly pid: number
  /** The last of what it printed, over all its lives. */
  printed(): string
  /** How often it was started. */
  readonly starts: number
  running(): boolean
  /** Rejects when it ends without having been asked to. */
  readonly crashed: Promise<never>
  /** Starts it, and resolves once it listens. @throws Error with what it printed, where it ends instead */
  start(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** SIGTERM; its exit code. */
  stop(): Promise<number | null>
}

/**
 * A relay that is not running yet. `command` stands before Node's, for a limit that the shell sets; `flags` are Node's.
 */
export async function prepareRelay(
  env: Record<string, string>,
  command: string[] = [],
  flags: string[] = [],
): Promise<RelayProcess> {
  const port = await freePort()
  let child: ChildProcess | undefined
  let output = ''
  let starts = 0
  const asked = new WeakSet<ChildProcess>()
  const crash = Promise.withResolvers<never>()
  crash.promise.catch(() => {})
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const end = async (signal: NodeJS.Signals) => {
    if (!child || !running()) return
    const closed = once(child, 'close')
    asked.add(child)
    child.kill(signal)
    await closed
  }
  return {
    url: `http://127.0.0.1:${port}`,
    get pid() {
      return child?.pid ?? 0
    },
    get starts() {
      return starts
    },
    printed: () => output,
    running,
    crashed: crash.promise,
    async start() {
      const [program = process.execPath, ...args] = [...command, process.execPath, ...flags, main]
      const started = spawn(program, args, {
        env: {
          ...COMPILE_CACHE,
          PATH: process.env.PATH ?? '',
          HOST: '127.0.0.1',
          PORT: String(port),
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      endWithUs(started)
      const closed = once(started, 'close')
      starts++
      let fresh = ''
      const hear = (chunk: Buffer) => {
        output = (output + chunk).slice(-KEPT)
        if (fresh.length < KEPT) fresh += chunk
      }
      started.stdout?.on('data', hear)
      started.stderr?.on('data', hear)
      const healthy = () =>
        fetch(`http://127.0.0.1:${port}/healthz`).then(
          response => response.ok,
          () => false,
        )
      await until(async () => !running() || (await healthy()), 'the relay listens', 60_000)
      if (!running()) {
        // Only then has it all been read that it printed.
        await closed
        throw new Error(`The relay ended: ${fresh}`)
      }
      started.once('close', (code, signal) => {
        if (!asked.has(started)) crash.reject(new Error(`The relay ended by itself with ${signal ?? code}.`))
      })
    },
    kill: () => end('SIGKILL'),
    async stop() {
      await end('SIGTERM')
      return child?.exitCode ?? null
    },
  }
}
