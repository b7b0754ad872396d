import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { until } from '../../simulator/http-server.ts'
import { keepPort } from '../../simulator/keep-port.ts'
import { builtRelay } from '../support/built-relay.ts'
import { TEST_ENV } from '../support/environment.ts'

const KEPT = 256 * 1024

/** Kills every relay when this process exits. */
const alive = new Set<ChildProcess>()
process.once('exit', () => alive.forEach(each => void each.kill('SIGKILL')))
function killOnExit(child: ChildProcess): void {
  alive.add(child)
  child.once('close', () => alive.delete(child))
}

/** A relay that can be killed and restarted at the same address. */
export type RelayProcess = Awaited<ReturnType<typeof prepareRelay>>

/** Creates a relay that isn't running yet. `flags` are Node flags. */
export async function prepareRelay(env: Record<string, string>, flags: string[] = []) {
  // The bundle starts in half the time that the sources take.
  const [main, port] = [join(await builtRelay(), 'main.js'), await keepPort()]
  let child: ChildProcess | undefined
  let output = ''
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
    /** The last part of the relay's output, across all starts. */
    printed: () => output,
    running,
    /** Rejects when the relay exits by itself. */
    crashed: crash.promise,
    /** Starts the relay, and resolves once it listens. @throws Error with the output if the relay exits instead */
    async start() {
      const started = spawn(process.execPath, [...flags, main], {
        env: { ...TEST_ENV, PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port), ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      killOnExit(started)
      const closed = once(started, 'close')
      let fresh = ''
      const record = (chunk: Buffer) => {
        output = (output + chunk).slice(-KEPT)
        if (fresh.length < KEPT) fresh += chunk
      }
      started.stdout?.on('data', record)
      started.stderr?.on('data', record)
      const healthy = async () => {
        // Until the relay listens, a refused connection takes much less CPU time than a failed request.
        const socket = connect(port, '127.0.0.1')
        await once(socket, 'connect').finally(() => socket.destroy())
        return (await fetch(`http://127.0.0.1:${port}/healthz`)).ok
      }
      await until(async () => !running() || (await healthy().catch(() => false)), 'the relay listens')
      if (!running()) {
        // Waits until the output is complete.
        await closed
        throw new Error(`The relay exited: ${fresh}`)
      }
      started.once('close', (code, signal) => {
        if (!asked.has(started)) crash.reject(new Error(`The relay exited by itself with ${signal ?? code}.`))
      })
    },
    kill: () => end('SIGKILL'),
    async stop() {
      await end('SIGTERM')
      return child?.exitCode ?? null
    },
  }
}
