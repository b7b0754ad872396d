import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Server extends AsyncDisposable {
  url: string
  child: ChildProcess
  startedAfterMs: number
}

/** Starts a server that prints a JSON line with its `port`. `flags` are Node options. */
export async function startServer(
  file: string,
  env: Record<string, string> = {},
  flags: readonly string[] = [],
): Promise<Server> {
  const started = performance.now()
  const child = spawn(process.execPath, [...flags, file], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { port } = JSON.parse(line) as { port?: number }
    if (!port) continue
    child.stdout?.resume()
    const startedAfterMs = performance.now() - started
    const stop = () => stopServer({ child })
    return { url: `http://127.0.0.1:${port}`, child, startedAfterMs, [Symbol.asyncDispose]: stop }
  }
  throw new Error(`${file} exited before it listened`)
}

export async function stopServer({ child }: Pick<Server, 'child'>): Promise<void> {
  child.kill('SIGTERM')
  if (child.exitCode === null) await once(child, 'exit')
}

/** On Linux, a clock tick is 10 ms on every platform that Node supports. */
const TICK_US = 10_000

/** Returns the CPU time of all of a process's threads, in microseconds; NaN if the system has no /proc. */
export function cpuTime(pid: number | undefined): number {
  try {
    // The process name, in parentheses, can contain spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * TICK_US
  } catch {
    return Number.NaN
  }
}

/** Returns the bytes that a process wrote to the disk; NaN if the system has no /proc. */
export function bytesWritten(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/io`, 'utf8').match(/^write_bytes: (\d+)/m)?.[1])
  } catch {
    return Number.NaN
  }
}

/** Returns a process's current and peak resident memory, in MB. */
export function memory({ child }: Pick<Server, 'child'>): { now: number; peak: number } {
  try {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    const mb = (name: string) => Number(status.match(new RegExp(`${name}:\\s+(\\d+) kB`))?.[1]) / 1024
    return { now: mb('VmRSS'), peak: mb('VmHWM') }
  } catch {
    return { now: Number.NaN, peak: Number.NaN }
  }
}

/** Resets the peak to the current memory. */
export function forgetPeak({ child }: Pick<Server, 'child'>): void {
  try {
    writeFileSync(`/proc/${child.pid}/clear_refs`, '5')
  } catch {}
}
