import { PortError, type PortRun, type Token } from '../../port/client/client.ts'
import { wasNotSent } from '../../port/client/errors.ts'
import type { JsonObject, LogLine } from '../../port/types.ts'

/** Reports one run to Port, and retries. Its methods throw PortError once they have given up. */
export interface Reporter extends Pick<PortRun, 'read' | 'update'> {
  /** In order, none twice; an error's `linesSent` counts also those that may have arrived. */
  log(lines: readonly LogLine[]): Promise<void>
  /** Prepares for the first report while something else is awaited; what goes wrong shows there. */
  prepare(): Promise<void>
  /** Creates or changes an entity, tied to the run where that is one of an action. */
  upsertEntity(blueprint: string, entity: JsonObject): Promise<void>
  /** Deletes an entity, and what depends on it stays. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
  /** Whether what is sent goes to Port later, by the relay. */
  handsOn: boolean
  /** Port's token, for the other processes of this job; null through the relay, and before there is one. */
  token(): Token | null
  /** Whether the time for everything but the final status has passed. */
  late(): boolean
}

/** Port takes no more of a node run. */
const MOST_OF_NODE_RUN = 3

/** The links of a run in Port: that of the workflow run, then those that steps have written to `$PORT_RUN`. */
export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}

/**
 * Whether what was asked for may have been done all the same: the response was lost, or does not show
 * that. After a 503, or one of these 4xx, the request was not processed; without a token it was not sent.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-503-service-unavailable
 */
export function isUncertain(error: unknown): error is PortError {
  if (!(error instanceof PortError) || error.kind !== 'unreachable' || error.ofToken) return false
  if (error.status !== null) return ![409, 425, 429, 503].includes(error.status)
  return !wasNotSent(error)
}
