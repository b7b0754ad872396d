import type { JobState } from './job-state.ts'
import { type ChildEnd, runChild } from './run-child.ts'

/** Runs a process of a step, until the job may run nothing any more. */
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
