import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunOptions, SimulatedJob, SimulatedStep } from '../../tools/simulator/runner/types.ts'
import { runWorkflow } from '../../tools/simulator/runner/workflow.ts'

export const fixtures = join(import.meta.dirname, '../fixtures/simulator')
export const clientPayload = {
  run_id: 'r_1234567890abcdef',
  action: 'deploy_service',
  port: { inputs: { version: 'v1.2.3', replicas: 3, ok: false, tags: ['a', 'b'] } },
}
const dispatch = {
  name: 'repository_dispatch',
  payload: { event_type: 'deploy_service', client_payload: clientPayload },
}

/** Runs a workflow with these jobs, as if the relay had dispatched it. */
export async function simulate(jobs: string, options: Partial<RunOptions> = {}) {
  return await runWorkflow({
    yaml: `name: Deploy\non: { repository_dispatch: { types: [deploy_service] } }\n${jobs}`,
    event: dispatch,
    repository: 'acme/shop',
    repositoryRoot: fixtures,
    cancelGraceMs: 200,
    ...options,
  })
}

export async function simulateSteps(steps: string, options: Partial<RunOptions> = {}, job = '') {
  const indented = steps.replaceAll('\n', '\n      ')
  const run = await simulate(
    `jobs:\n  deploy:\n    runs-on: ubuntu-latest${job}\n    steps:\n      ${indented}`,
    options,
  )
  return { run, job: run.jobs[0]!, step: (name: string) => named(run.jobs[0]!, name) }
}

export function named(job: SimulatedJob, name: string): SimulatedStep {
  const step = job.steps.find(one => one.name === name)
  if (!step) throw new Error(`No step "${name}" in: ${job.steps.map(one => one.name).join(', ')}`)
  return step
}

/** Returns the environment that the echo action printed. */
export function seen(step: SimulatedStep): {
  env: Record<string, string>
  event: Record<string, unknown>
  node: string
} {
  return JSON.parse(step.stdout)
}

export function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false
  return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}
