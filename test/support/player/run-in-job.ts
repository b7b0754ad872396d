import type { JobState } from './job-state.ts'
import { type ChildEnd, runChild } from './run-child.ts'

/**
 * Runs a process of a step where the job runs: on the machine, or in the job's container.
 *
 * There a cancel reaches only the client of the container, not the process inside: that runs until the container ends.
 * Source: https://github.com/docker/cli/issues/5309
 */
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
  const { container, run } = state
  const limits = { kill: state.ended, graceMs: run.options.cancelGraceMs ?? 7500 }
  if (container === null) return await runChild({ ...spec, ...limits, isClient: false })
  const [command, cwd, ...args] = [spec.command, spec.cwd, ...spec.args].map(container.translate)
  const client = { ...container.exec(command!, args, cwd!), cwd: run.root }
  return await runChild({ ...spec, ...limits, ...client, isClient: true })
}
