import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { StringDecoder } from 'node:string_decoder'

/** The exit code of a process that a signal has ended is 128 and the signal's number. */
export type ChildEnd = { exitCode: number; stdout: string; stderr: string }

/**
 * Runs a process in a group of its own until it has ended and its output is read.
 *
 * `stop` ends it as the runner does: SIGINT to the process, SIGTERM after the grace time (ms), SIGKILL to
 * the group after the same time again. `kill` ends the group at once.
 * Source: ProcessInvoker.cs of actions/runner.
 */
export async function runChild(spec: {
  command: string
  args: string[]
  cwd: string
  env: Record<string, string>
  onLine: (line: string) => void
  stop: AbortSignal
  kill: AbortSignal
  graceMs: number
}): Promise<ChildEnd> {
  if (spec.kill.aborted) return { exitCode: 128 + constants.signals.SIGKILL, stdout: '', stderr: '' }
  const child = spawn(spec.command, spec.args, {
    cwd: spec.cwd,
    env: spec.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = Promise.withResolvers<number>()
  const output = { stdout: '', stderr: '' }
  const timers: NodeJS.Timeout[] = []
  const later = (ms: number, act: () => void) => timers.push(setTimeout(act, ms))

  const signal = (name: NodeJS.Signals, group: boolean) => {
    if (child.pid === undefined) return
    try {
      process.kill(group ? -child.pid : child.pid, name)
    } catch {
      // It has ended in the meantime.
    }
  }
  const killNow = () => signal('SIGKILL', true)
  const stop = () => {
    signal('SIGINT', false)
    later(spec.graceMs, () => signal('SIGTERM', true))
    later(spec.graceMs * 2, killNow)
  }

  for (const name of ['stdout', 'stderr'] as const) {
    const decoder = new StringDecoder('utf8')
    let rest = ''
    const take = (text: string, last: boolean) => {
      output[name] += text
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      if (last && rest !== '') lines.push(rest)
      try {
        for (const line of lines) spec.onLine(line.replace(/\r$/, ''))
      } catch (error) {
        killNow()
        ended.reject(error)
      }
    }
    child[name].on('data', (chunk: Buffer) => take(decoder.write(chunk), false))
    child[name].on('end', () => take(decoder.end(), true))
  }

  child.on('error', error => ended.reject(error))
  const endWith = (code: number | null, name: NodeJS.Signals | null) =>
    ended.resolve(code ?? 128 + constants.signals[name!])
  child.on('close', endWith)
  // A process it left behind may hold its output open: the runner waits five seconds for it, then goes on.
  child.on('exit', (code, name) => later(5000, () => endWith(code, name)))
  spec.stop.addEventListener('abort', stop, { once: true })
  spec.kill.addEventListener('abort', killNow, { once: true })
  process.once('exit', killNow)
  if (spec.stop.aborted) stop()
  try {
    const exitCode = await ended.promise
    if (spec.stop.aborted) killNow()
    return { exitCode, ...output }
  } finally {
    for (const timer of timers) clearTimeout(timer)
    spec.stop.removeEventListener('abort', stop)
    spec.kill.removeEventListener('abort', killNow)
    process.removeListener('exit', killNow)
    child.stdout.destroy()
    child.stderr.destroy()
  }
}
