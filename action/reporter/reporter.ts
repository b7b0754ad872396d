import { PortError, type PortRun, type Token } from '../../port/client/client.ts'
import { wasNotSent } from '../../port/client/errors.ts'
import { mergeOutputs } from '../../port/outputs.ts'
import type { JsonObject, LogLine, RunUpdate } from '../../port/types.ts'
import { UntrustedCertificate } from '../runner/fetch.ts'

/** Reports one run to Port, and retries. Every method throws PortError after its last attempt. */
export interface Reporter extends Pick<PortRun, 'read' | 'update'> {
  /** Sends lines in order, without duplicates. An error's `linesSent` includes lines that may have arrived. */
  log(lines: readonly LogLine[]): Promise<void>
  /** Starts preparing the first report. An error surfaces when that report is sent. */
  prepare(): Promise<void>
  /** Creates or updates an entity, and links the entity to the run if the run is an action run. */
  upsertEntity(blueprint: string, entity: JsonObject): Promise<void>
  /** Deletes an entity, but not the entities that depend on it. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
  /** Whether the relay sends the entity to Port later. */
  isDeferred: boolean
  /** The Port token, for this job's other processes. Null if there is no token yet, or if the job uses the relay. */
  token(): Token | null
  /** Whether the time for everything except the final status is used up. */
  late(): boolean
}

/** The maximum number of links that Port accepts for a node run. */
const MOST_OF_NODE_RUN = 3

/** The links of a Port run: first the workflow run's, then the links that steps wrote to `$PORT_RUN`. */
export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}

/** Returns the steps' outputs, and earlier jobs' outputs by job id. Outputs that don't fit are omitted. */
export function allOutputs(own: JsonObject, needs: JsonObject): ReturnType<typeof mergeOutputs> {
  const mine = mergeOutputs({}, own)
  const others = Object.entries(needs).filter(([job]) => !Object.hasOwn(own, job))
  const all = mergeOutputs(mine.outputs, Object.fromEntries(others))
  return { outputs: all.outputs, left: [...mine.left, ...all.left] }
}

/** Outputs for an update. Only node runs have outputs, and Port replaces them with each update. */
export const outputOf = (kind: 'action_run' | 'node_run', outputs: JsonObject): Pick<RunUpdate, 'output'> =>
  kind === 'node_run' && Object.keys(outputs).length > 0 ? { output: outputs } : {}

/**
 * Whether the server may have processed the request: the response was lost or is inconclusive. After a 503 or one of
 * these 4xx statuses, the request wasn't processed. Without a token, it wasn't sent.
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

/** How much longer the final status can wait than everything before it. */
export const FINAL_EXTRA_MS = 30_000

/** Retries an operation that failed temporarily. Throws the last error. */
export type Retry = <T>(
  operation: () => Promise<T>,
  options?: {
    /** How much longer than other calls this call can wait. */
    extraMs?: number
    /** Whether to retry after this error. */
    again?: (error: PortError) => boolean
  },
) => Promise<T>

/**
 * Retries temporary failures: five attempts, 1, 2, 4, and 8 s apart, or more if Port names a time. All calls share one
 * time budget, because a canceled job has only 4 min 45 s left. After one call has given up, later calls wait only if
 * Port names a time.
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
