import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GitHubRun } from '../simulator/github/github.ts'
import type { RunOptions, SimulatedStep } from '../simulator/runner/types.ts'
import { runWorkflow } from '../simulator/runner/workflow.ts'
import { sendRunWebhook } from '../test/support/requests.ts'
import { REPOSITORY, type System } from './open-system.ts'
import type { Timeline } from './timeline.ts'

/** Simulates the wait for a runner, which takes several seconds on GitHub. */
const START_MS = 700

/** A dispatch and the workflow that it starts. */
interface Started {
  /** Id of the Port run or workflow run, as shown on the timeline. */
  id: string
  /** Path of the workflow's file, relative to the project's root. */
  file: string
  /** The workflow file's name on GitHub. */
  name: string
  event: RunOptions['event']
  ref: string
  /** Returns undefined if no workflow listens to the dispatch. */
  findRun: () => GitHubRun | undefined
}

/**
 * Makes the fake GitHub start the workflows that listen to a dispatch, or the workflow that a dispatch names. The fake
 * GitHub sends a webhook when a run starts, and when a run finishes.
 *
 * @param hasRunner whether a runner is available; if not, dispatched workflows wait for one
 * @returns `end`, which waits for the started workflows. It throws an error if a workflow couldn't be simulated.
 */
export function simulateDispatch(
  system: System,
  timeline: Timeline,
  signal: AbortSignal,
  hasRunner: boolean,
): { end(): Promise<void> } {
  const { github, issuer, oidc, port, repositoryId, workflows } = system
  const started: Promise<unknown>[] = []
  const note = (id: string, what: string, at = Date.now()) => timeline.add({ at, who: 'GitHub', id, what })
  const notifyWaiting = (run: GitHubRun) =>
    sendRunWebhook(system.relay.url, run, { github, secret: system.webhookSecret })

  async function simulate({ id, file, name, event, ref, findRun }: Started): Promise<void> {
    await sleep(START_MS, undefined, { signal })
    const run = findRun()
    if (!run)
      return note(id, `starts nothing: no workflow in ${REPOSITORY} listens to “${event.payload.event_type}”`)
    const { id: runId } = run
    github.setRun(runId, { status: 'in_progress' })
    await notifyWaiting(run)
    let isSeen = false
    await runWorkflow({
      file: name,
      yaml: await readFile(join(import.meta.dirname, '..', file), 'utf8'),
      event,
      repository: REPOSITORY,
      repositoryId,
      github,
      runId,
      signal,
      onLeftOut: () => {},
      oidc: issuer.runner({
        ...{ repository: REPOSITORY, repositoryId, runId, ref },
        ...{ eventName: event.name, workflow: name },
      }),
      ...(!oidc && {
        vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
        secrets: { PORT_CLIENT_SECRET: port.clientSecret },
      }),
      onStep: ({ job, step }) => {
        if (!isSeen) {
          isSeen = true
          note(`run ${runId}`, `starts ${name}, job ${job.name}, as “${run.displayTitle}”`)
        }
        if (step.status !== 'completed' || ['setup', 'complete'].includes(step.kind)) return
        timeline.add({ at: Date.now(), who: 'runner', id: `step ${step.number}`, what: outcomeOf(step) })
      },
    })
    await notifyWaiting(run)
  }
  function start(what: Started): void {
    if (!hasRunner) {
      note(what.id, `queues ${what.name}: no runner is free`)
      return
    }
    const playing = simulate(what)
    // end() reports the failure.
    playing.catch(() => {})
    started.push(playing)
  }

  const stopListening = [
    github.onDispatch(({ at, eventType, clientPayload }) => {
      const id = String(clientPayload.run_id)
      note(id, `accepts repository_dispatch “${eventType}” for ${REPOSITORY}`, at)
      start({
        ...{ id, ref: 'refs/heads/main' },
        ...(eventType === 'create_preview'
          ? { name: 'preview.yml', file: workflows.preview }
          : { name: 'deploy.yml', file: eventType === 'deploy' ? workflows.report : workflows.deploy }),
        event: {
          name: 'repository_dispatch',
          payload: { event_type: eventType, client_payload: clientPayload },
        },
        findRun: () => github.runs.find(({ displayTitle }) => displayTitle.endsWith(` ${id}`)),
      })
    }),
    github.onWorkflowDispatch(({ at, workflow, ref, inputs, runId }) => {
      const name = basename(workflow)
      note(
        `run ${runId}`,
        `accepts workflow_dispatch of ${name} on “${ref}”, responds with its run\nwith the inputs ${Object.keys(inputs).join(', ')}`,
        at,
      )
      start({
        ...{ id: `run ${runId}`, file: workflows.release, name, ref: `refs/heads/${ref}` },
        event: { name: 'workflow_dispatch', payload: { inputs } },
        findRun: () => github.runs.find(({ id }) => id === runId),
      })
    }),
  ]
  return {
    async end() {
      for (const stop of stopListening) stop()
      await Promise.all(started)
    },
  }
}

function outcomeOf({ name, conclusion, exitCode, outputs, kind }: SimulatedStep): string {
  if (conclusion === 'skipped') return `– ${name}: skipped`
  if (conclusion !== 'success') return `✗ ${name}: ${conclusion}, exit code ${exitCode}`
  const [first, ...more] = Object.keys(outputs)
  if (kind !== 'main' || !first) return `✓ ${name}`
  return `✓ ${name}\noutputs ${[first, ...more.slice(0, 3)].join(', ')} and ${Math.max(0, more.length - 3)} more`
}
