import { type PortClient, PortError } from '../../port/client/client.ts'
import { UNREAD } from '../../port/client/run.ts'
import type { RunState } from '../../port/types.ts'
import type { Delivery } from '../delivery/delivery.ts'

/** The one place that decides for which delivery the relay may read from Port and send to it. */
export interface PortAccess {
  /** Whether the delivery has a run in Port, and its organisation has credentials. */
  canReport(delivery: Pick<Delivery, 'runId' | 'kind' | 'organisation'>): boolean
  /** The client of an organisation; null where it has no credentials. */
  client(organisation: string): PortClient | null
  /** The delivery's run in Port. `unread`: Port did not answer, or limits requests now. */
  read(delivery: Delivery): Promise<RunState | 'unread'>
  /** When Port accepts requests of an organisation again, milliseconds since 1970. */
  freeAt(organisation: string): number
  /** The latest such time of all organisations. */
  pausedUntil(): number
}

/** Where Port has no run that could have ended, GitHub alone shows what becomes of the delivery. */
export const NO_PORT_RUN: RunState = { ...UNREAD, status: 'in_progress' }

/** @param clients by organisation, those with credentials */
export function createPortAccess(clients: ReadonlyMap<string, PortClient>): PortAccess {
  const access: PortAccess = {
    canReport: ({ runId, kind, organisation }) =>
      runId !== null && kind !== 'none' && clients.has(organisation),
    client: organisation => clients.get(organisation) ?? null,
    freeAt: organisation => clients.get(organisation)?.pausedUntil() ?? 0,
    pausedUntil: () => Math.max(0, ...[...clients.values()].map(client => client.pausedUntil())),
    async read(delivery) {
      const { runId, organisation } = delivery
      const client = clients.get(organisation)
      if (!client || runId === null || !access.canReport(delivery)) return NO_PORT_RUN
      try {
        return await client.run(runId).read()
      } catch (error) {
        if (error instanceof PortError && error.kind === 'unknown_run') return NO_PORT_RUN
        // A retry would not change that, and the end of the run must be sent all the same.
        if (error instanceof PortError && error.kind === 'refused') return UNREAD
        return 'unread'
      }
    },
  }
  return access
}
