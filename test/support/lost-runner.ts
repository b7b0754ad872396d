import { expect } from 'vitest'
import { RUN, startSystem } from './system.ts'

interface FailedJob {
  name?: string
  conclusion?: string
  /** An annotation. Without it, a step failed. */
  message?: string | undefined
}

export const LOST = {
  message: 'The self-hosted runner: spot-7 lost communication with the server. Verify the machine.',
}
export const SHUT_DOWN = { message: 'The runner has received a shutdown signal.' }

/** Starts a relay with a workflow run in progress, whose jobs can lose their runners. `rerunAt`: 0 for `rerun: lost-runner` */
export async function startLostRunner(kind = 'action', rerunAt: number | null = 0) {
  const system = await startSystem({ actions: 'write', runTimeout: 3_600_000 })
  const { github, port } = system
  const runId = kind === 'node' ? `wfnr_${RUN.slice(2)}` : RUN
  const id = await system.dispatch(runId, 'acme/shop', { rerunAt })
  if (kind === 'synchronous')
    Object.assign(port.run(RUN), { synchronized: true, payload: { synchronized: true } })
  const run = system.run(`deploy ${runId}`, { status: 'in_progress' })
  await system.pass(10_000)
  await system.bind(id, run.id)
  const isRequest = ({ path }: { path: string }) => path.endsWith('/rerun-failed-jobs')
  return {
    ...{ system, id, run, runId },
    /** Fails the current attempt, in which one job succeeded and these jobs failed. */
    async fail(...jobs: FailedJob[]) {
      const completed = { status: 'completed', runner_name: 'spot-7' } as const
      const made = github.setJobs(run.id, run.runAttempt, [
        { ...completed, name: 'build', conclusion: 'success' },
        ...jobs.map(({ name = 'deploy', conclusion = 'failure', message }) => ({
          ...{ ...completed, name, conclusion },
          steps: [{ name: 'Deploy', conclusion: message ? null : conclusion }],
        })),
      ])
      jobs.forEach(({ message }, i) => {
        const at = { path: '.github', start_line: 1, annotation_level: 'failure' } as const
        if (message) github.setAnnotations(made[i + 1]!.id, [{ ...at, message }])
      })
      system.end(run, 'failure')
    },
    /** Reports in the second attempt, and finishes that attempt. */
    async succeed() {
      await system.pass(10_000)
      expect(run).toMatchObject({ runAttempt: 2, status: 'queued' })
      github.setRun(run.id, { status: 'in_progress' })
      await system.bind(id, run.id, 2)
      await system.reportJob(id, 'success', { attempt: 2, id: 9 })
      system.end(run, 'success')
    },
    permit: (permissions: object) =>
      github.addRepository('acme/shop', { permissions: { contents: 'write', ...permissions } }),
    failRequest: (fault: object) => github.fail({ ...fault, match: isRequest }),
    requests: () => github.requests.filter(isRequest).length,
    log: () =>
      (kind === 'node' ? port.nodeRun(runId) : port.run(RUN)).logs.map(({ message }) => message).join('\n'),
    shown: () => `${port.run(RUN).status} ${port.run(RUN).statusLabel}`,
  }
}
