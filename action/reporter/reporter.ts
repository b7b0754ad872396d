import { PortError, type PortRun, type Token } from '../../port/client/client.ts'
import { wasNotSent } from '../../port/client/errors.ts'
import { mergeOutputs } from '../../port/outputs.ts'
import type { JsonObject, LogLine, RunUpdate } from '../../port/types.ts'
import { UntrustedCertificate } from '../runner/fetch.ts'

/** Reports one run to Port, and retries. Its methods throw PortError once they have given up. */
export interface Reporter extends Pick<PortRun, 'read' | 'update'> {
  /** In order, none twice; an error's `linesSent` counts also those that may have arrived. */
  log(lines: readonly LogLine[]): Promise<void>
  /** Prepares for the first report while something else is awaited; what goes wrong shows there. */
  prepare(): Promise<void>
  /** Creates or changes an entity, tied to the run if that is an action run. */
  upsertEntity(blueprint: string, entity: JsonObject): Promise<void>
  /** Deletes an entity, and what depends on it stays. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
  /** Whether the relay sends it to Port later. */
  isDeferred: boolean
  /** Port's token, for the other processes of this job; null through the relay, and before there is one. */
  token(): Token | null
  /** Whether the time for everything but the final status has passed. */
  late(): boolean
}

/** Port accepts this many for a node run. */
const MOST_OF_NODE_RUN = 3

/** The links of a run in Port: that of the workflow run, then those that steps have written to `$PORT_RUN`. */
export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}

/** The outputs that steps have written, and those of the jobs before this one under the ids of these jobs, as far as they fit. */
export function allOutputs(own: JsonObject, needs: JsonObject): ReturnType<typeof mergeOutputs> {
  const mine = mergeOutputs({}, own)
  const others = Object.entries(needs).filter(([job]) => !Object.hasOwn(own, job))
  const all = mergeOutputs(mine.outputs, Object.fromEntries(others))
  return { outputs: all.outputs, left: [...mine.left, ...all.left] }
}

/** The outputs for an update: only a node run has any, and Port replaces them with each update. */
export const outputOf = (kind: 'action_run' | 'node_run', outputs: JsonObject): Pick<RunUpdate, 'output'> =>
  kind === 'node_run' && Object.keys(outputs).length > 0 ? { output: outputs } : {}

/**
 * Whether the request may have been processed nevertheless: the response was lost, or doesn't show
 * that. After a 503, or one of these 4xx, the request was not processed; without a token it was not sent.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-503-service-unavailable
 */
export function isUncertain(error: unknown): error is PortError {
  if (!(error instanceof PortError) || error.kind !== 'unreachable' || error.ofToken) return false
  if (error.status !== null) return ![409, 425, 429, 503].includes(error.status)
  return !wasNotSent(error)
}

const TRIES = 5
const FIRST_WAIT_MS = 1_000

/** How much longer the final status may wait than all before it. */
export const FINAL_EXTRA_MS = 30_000

/** Repeats an operation that failed for the moment; throws its last error. */
export type Retry = <T>(
  operation: () => Promise<T>,
  options?: {
    /** How much longer than all others this call may wait. */
    extraMs?: number
    /** Whether it may be done again after this error. */
    again?: (error: PortError) => boolean
  },
) => Promise<T>

/**
 * Repeats what failed for the moment: five tries, 1, 2, 4 and 8 s apart, or as often as Port names a time. All calls
 * share one budget, since after a cancel everything left in the job has 4 min 45 s; once a call has given up, each later one
 * waits only if Port names the time.
 *
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRetry(options: {
  budgetMs: number
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}): Retry {
  const { clock, sleep } = options
  const deadline = clock() + options.budgetMs
  let gaveUp = false

  return async (operation, { extraMs = 0, again = () => true } = {}) => {
    for (let tried = 1; ; tried++) {
      try {
        return await operation()
      } catch (error) {
        if (!(error instanceof PortError) || !error.temporary || !again(error)) throw error
        if (error.cause instanceof UntrustedCertificate) throw error
        const named = (error.retryAt ?? 0) - clock()
        const wait = named > 0 ? named : FIRST_WAIT_MS * 2 ** (tried - 1)
        const inVain = named <= 0 && (gaveUp || tried >= TRIES)
        if (inVain || clock() + wait > deadline + extraMs) {
          gaveUp = true
          throw error
        }
        await sleep(wait)
      }
    }
  }
}
