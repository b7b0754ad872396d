import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { playWorkflow } from '../test/support/player/play-workflow.ts'
import type { PlayedStep } from '../test/support/player/types.ts'
import { REPOSITORY, type Stage } from './open-stage.ts'
import type { Timeline } from './timeline.ts'

/** GitHub takes some seconds to find a runner; this is a little of that. */
const START_MS = 700

/**
 * From now on GitHub starts the workflow when an event is dispatched that it listens to.
 *
 * @returns `end`, which waits for what was started; it throws where a workflow could not be played
 */
export function playDispatch(
  { github, issuer, port, repositoryId, workflow }: Stage,
  timeline: Timeline,
  signal: AbortSignal,
): { end(): Promise<void> } {
  const file = join(import.meta.dirname, '..', workflow)
  const started: Promise<unknown>[] = []
  const stopListening = github.onDispatch(({ at, eventType, clientPayload }) => {
    const id = String(clientPayload.run_id)
    const note = (id: string, what: string) => timeline.add({ at: Date.now(), who: 'GitHub', id, what })
    timeline.add({
      at,
      who: 'GitHub',
      id,
      what: `accepts repository_dispatch “${eventType}” for ${REPOSITORY}`,
    })
    const play = async () => {
      await sleep(START_MS, undefined, { signal })
      const run = github.runs.find(({ displayTitle }) => displayTitle.endsWith(` ${id}`))
      if (!run) return note(id, `starts nothing: no workflow in ${REPOSITORY} listens to “${eventType}”`)
      let runSeen = false
      await playWorkflow({
        file,
        event: {
          name: 'repository_dispatch',
          payload: { event_type: eventType, client_payload: clientPayload },
        },
        repository: REPOSITORY,
        repositoryId,
        github,
        runId: run.id,
        signal,
        ...(issuer
          ? { oidc: issuer.runner({ repository: REPOSITORY, repositoryId, runId: run.id }) }
          : {
              vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
              secrets: { PORT_CLIENT_SECRET: port.clientSecret },
            }),
        onStep: ({ job, step }) => {
          if (!runSeen) {
            runSeen = true
            note(`run ${run.id}`, `starts ${basename(file)}, job ${job.name}, as “${run.displayTitle}”`)
          }
          if (step.status !== 'completed' || ['setup', 'complete'].includes(step.kind)) return
          timeline.add({ at: Date.now(), who: 'runner', id: `step ${step.number}`, what: outcomeOf(step) })
        },
      })
    }
    const playing = play()
    // Whatever goes wrong shows in end().
    playing.catch(() => {})
    started.push(playing)
  })
  return {
    async end() {
      stopListening()
      await Promise.all(started)
    },
  }
}

function outcomeOf({ name, conclusion, exitCode, outputs, kind }: PlayedStep): string {
  if (conclusion === 'skipped') return `– ${name}: skipped`
  if (conclusion !== 'success') return `✗ ${name}: ${conclusion}, exit code ${exitCode}`
  const [first, ...more] = Object.keys(outputs)
  if (kind !== 'main' || !first) return `✓ ${name}`
  return `✓ ${name}\noutputs ${[first, ...more.slice(0, 3)].join(', ')} and ${Math.max(0, more.length - 3)} more`
}
