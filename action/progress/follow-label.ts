import { backOff } from '../../port/retry.ts'
import type { JsonObject, RunUpdate } from '../../port/types.ts'
import { allOutputs, linksOf, outputOf } from '../reporter/reporter.ts'
import { createStepLister, isForbidden, type ListedStep, retryAtOf } from '../runner/jobs.ts'
import type { Redact } from '../secrets/redact.ts'
import { readRunFile } from '../steps/run.ts'
import type { FollowedJob, Following } from './process.ts'

const LONGEST_NAME = 80
const LONGEST_POLL_MS = 300_000

/**
 * Shows the running step, or the label that steps write to `$PORT_RUN`, and updates links and outputs.
 * @returns functions that poll `$PORT_RUN`, and GitHub for the steps until the job finishes
 */
export function followLabel(following: Following): {
  poll: () => Promise<void>
  followSteps: () => Promise<void>
} {
  const { job, run, masks, readMasks, fetch, clock, sleep, stopping, send, soon } = following
  const started = clock()
  let own: { label: string; links: string[]; outputs: JsonObject } = { label: '', links: [], outputs: {} }
  let step = job.statusLabel
  let shown = JSON.stringify([step, own.links, own.outputs])
  return { poll, followSteps: async () => void (job.github && (await followSteps(job.github))) }

  async function show(): Promise<void> {
    const label = own.label || step
    const state = JSON.stringify([label, own.links, own.outputs])
    if (state === shown || clock() < following.pausedUntil()) return
    const before = shown
    // Set first, so that a concurrent poll doesn't send the same update again.
    shown = state
    const error = await send(() => run.update(updateOf(label)))
    if (error?.temporary && shown === state) shown = before
  }

  // Each update replaces a node run's links.
  function updateOf(statusLabel: string): RunUpdate {
    return {
      statusLabel,
      link: linksOf(job.workflow.url, own.links, job.kind),
      externalRunId: job.workflow.runId,
      ...outputOf(job.kind, allOutputs(own.outputs, job.needsOutputs, masks.redact).outputs),
    }
  }

  async function poll(): Promise<void> {
    const { statusLabel, links, outputs } = readRunFile(job.files.run, { final: false })
    readMasks()
    own = { label: statusLabel, links, outputs: job.kind === 'node_run' ? outputs : {} }
    await show()
  }

  async function followSteps(github: NonNullable<FollowedJob['github']>): Promise<void> {
    const list = createStepLister(job.workflow, github, { fetch, clock })
    let limitedUntil = 0
    for (let failures = 0; ; ) {
      await sleep(
        Math.max(backOff(failures, pollAfter(clock() - started), LONGEST_POLL_MS), limitedUntil - clock()),
      )
      if (stopping.signal.aborted) return
      try {
        const steps = (await list())?.steps.filter(each => each.authors) ?? []
        failures = 0
        step = describeRunning(steps, masks.redact) ?? step
        await show()
      } catch (error) {
        if (isForbidden(error)) return
        failures++
        limitedUntil = soon(retryAtOf(error) ?? 0)
      }
    }
  }
}

/**
 * Returns the time until the next request to GitHub, in milliseconds. The job's token is limited to 1,000 requests per
 * hour for the whole repository.
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
function pollAfter(age: number): number {
  if (age < 600_000) return Math.min(Math.max(1_500, age / 10), 10_000)
  return age < 3_600_000 ? 20_000 : 60_000
}

/** `Build image (3/7)`; null if none of the author's steps is running. */
function describeRunning(steps: ListedStep[], redact: Redact): string | null {
  // GitHub shows a new step as running late.
  const index = steps.findIndex(step => step.status !== 'completed')
  if (index < 0) return null
  const name = redact(steps[index]!.name)
  const short = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1).toWellFormed()}…` : name
  return `${short} (${index + 1}/${steps.length})`
}
