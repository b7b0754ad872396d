import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const MAIN = join(import.meta.dirname, '../cli/main.ts')
const START_MS = 10_000
const STOP_MS = 5_000

/** The fields of the relay's log lines that the demo reads. */
export interface LogLine {
  level: number
  /** Milliseconds since 1970. */
  time: number
  msg: string
  port?: number
  delivery?: string
  github_run_id?: number
  evidence?: string
}

export interface Relay {
  url: string
  pid: number
  /** Stops the relay with SIGTERM, as a platform does. Resolves with the exit code, or null if the relay was killed. */
  stop(): Promise<number | null>
}

/**
 * Starts the relay process, without this process's environment.
 *
 * @param onLog called with each line of the relay's log
 * @param entry the file that starts the relay
 * @throws Error with the relay's messages if the relay doesn't start listening
 */
export async function startRelay(
  env: Record<string, string>,
  cwd: string,
  onLog: (line: LogLine) => void,
  entry = MAIN,
): Promise<Relay> {
  const child = spawn(process.execPath, [entry], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A separate process group, so that Ctrl-C interrupts the demo and not the relay, which the demo then stops.
    detached: true,
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const exited = once(child, 'exit').then(([code]) => {
    process.removeListener('exit', kill)
    return code as number | null
  })
  let messages = ''
  child.stderr.on('data', chunk => {
    messages += chunk
  })
  const listening = new Promise<number>((resolve, reject) => {
    createInterface(child.stdout).on('line', line => {
      const read = JSON.parse(line) as LogLine
      onLog(read)
      if (read.msg === 'listening') resolve(read.port!)
      else if (read.level >= 50) messages += `${read.msg}\n`
    })
    void exited.then(() => reject(new Error(`The relay didn't start.\n${messages.trim()}`)))
    setTimeout(() => reject(new Error("The relay didn't listen in time.")), START_MS).unref()
  })
  const port = await listening.catch(error => {
    kill()
    throw error
  })
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM')
      const limit = setTimeout(kill, STOP_MS)
      const code = await exited
      clearTimeout(limit)
      return code
    },
  }
}
