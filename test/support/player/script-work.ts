import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { evaluateText } from './evaluate.ts'
import type { JobState, Scope } from './job-state.ts'
import { logHeader } from './log-header.ts'
import type { Work } from './play-step.ts'
import type { WorkflowStep } from './read-workflow.ts'
import { refuse } from './refuse.ts'
import { runInJob } from './run-in-job.ts'
import { stepEnv } from './step-env.ts'

/** Without `shell:` bash stops at the first error, but not inside a pipe. */
const shells: Record<string, [command: string, ...args: string[]]> = {
  '': ['bash', '-e'],
  bash: ['bash', '--noprofile', '--norc', '-eo', 'pipefail'],
  sh: ['sh', '-e'],
}

/** A `run:` step, from a script file as the runner writes it. */
export function scriptWork(state: JobState, scope: Scope, step: WorkflowStep): Work {
  return async ({ env, contexts, files, log, record, stop, onLine }) => {
    const shell = evaluateText(step.shell ?? state.job.shell, contexts)
    const [command, ...args] = shells[shell] ?? refuse(`the shell "${shell}" of "${record.name}"`)
    const script = evaluateText(step.run, contexts)
    const file = join(state.temp, `${randomUUID()}.sh`)
    await writeFile(file, script)
    const folder = evaluateText(step.workingDirectory ?? state.job.workingDirectory, contexts)
    logHeader(log, `Run ${script.trim().split('\n')[0]}`, { '': script.trimEnd() }, env)
    const own = {
      ...files,
      GITHUB_ACTION: step.id,
      ...(scope.actionPath && { GITHUB_ACTION_PATH: scope.actionPath }),
    }
    const end = await runInJob(state, {
      command,
      args: [...args, file],
      cwd: resolve(state.workspace, folder),
      env: stepEnv(state, env, own),
      onLine,
      stop,
    })
    record.stdout = end.stdout
    record.stderr = end.stderr
    if (end.exitCode !== 0 && !stop.aborted)
      log.annotate('error', `Process completed with exit code ${end.exitCode}.`)
    return end.exitCode
  }
}
