import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { StringDecoder } from 'node:string_decoder'
import { type JobState, runnerContext, type Scope } from './job-state.ts'

/** Runs a step's process, unless the job has been stopped. */
export async function runInJob(
  state: JobState,
  spec: {
    command: string
    args: string[]
    cwd: string
    env: Record<string, string>
    onLine: (line: string) => void
    stop: AbortSignal
  },
): Promise<ChildEnd> {
  return await runChild({ ...spec, kill: state.ended, graceMs: state.run.options.cancelGraceMs ?? 7500 })
}

/** A process that a signal ended has the exit code 128 plus the signal's number. */
type ChildEnd = { exitCode: number; stdout: string; stderr: string }

/**
 * Runs a process in its own group until it has exited and its output is read.
 *
 * `stop` stops it as the runner does: SIGINT to the process, SIGTERM after the grace time (ms), and SIGKILL to the
 * group after another grace time. `kill` kills the group immediately.
 * Source: ProcessInvoker.cs of actions/runner.
 */
async function runChild(spec: {
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
      // The process has exited in the meantime.
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
  // A background process can keep the output open. The runner waits five seconds for it, then continues.
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

/** Keys of the `github` context that are also `GITHUB_*` variables. */
const githubVariables =
  'actor api_url base_ref event_name event_path graphql_url head_ref job ref ref_name ref_protected ref_type ' +
  'repository repository_id repository_owner repository_owner_id run_attempt run_id run_number server_url sha ' +
  'triggering_actor workflow workflow_ref workflow_sha workspace'

/** Returns the machine's environment: of the caller's variables, it has those that every process needs. */
function machineEnv(state: JobState): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR'].flatMap(name => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { ...Object.fromEntries(kept), ...state.run.options.env }
}

/** Returns the `env` context, from the workflow, the job, and `GITHUB_ENV`. */
export function scopeEnv(state: JobState, scope: Scope): Record<string, string> {
  return { ...state.scope.env, ...state.addedEnv, ...(scope === state.scope ? {} : scope.env) }
}

/**
 * Returns a step process's complete environment, as the runner sets it, without `GITHUB_TOKEN`.
 * Source: https://docs.github.com/actions/reference/variables-reference
 */
export function stepEnv(
  state: JobState,
  authored: Record<string, string>,
  own: Record<string, string>,
): Record<string, string> {
  const machine = machineEnv(state)
  const github = state.contexts.github as Record<string, unknown>
  const defaults = githubVariables
    .split(' ')
    .map(name => [`GITHUB_${name.toUpperCase()}`, String(github[name] ?? '')])
  const runner = Object.entries(runnerContext(state)).map(([name, value]) => [
    `RUNNER_${name.toUpperCase()}`,
    value,
  ])
  const oidc = state.oidc && {
    ACTIONS_ID_TOKEN_REQUEST_URL: state.oidc.url,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: state.oidc.requestToken,
  }
  const path = authored.PATH ?? machine.PATH ?? ''
  return {
    ...machine,
    ...authored,
    PATH: [...state.addedPath.toReversed(), path].join(':'),
    CI: authored.CI ?? machine.CI ?? 'true',
    GITHUB_ACTIONS: 'true',
    ...Object.fromEntries(defaults),
    ...Object.fromEntries(runner),
    RUNNER_TRACKING_ID: state.trackingId,
    ...oidc,
    ...own,
  }
}
