import type { PortRun } from '../../port/client/port-client.ts'
import type { Token } from '../../port/client/token-cache.ts'
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
