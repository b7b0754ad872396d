import { type PortClient, PortError } from '../../port/client/client.ts'
import { UNREAD } from '../../port/client/messages.ts'
import type { RunState } from '../../port/types.ts'
import type { Delivery } from '../delivery/delivery.ts'

/** The one place that decides for which delivery the relay may read from Port and send to it. */
export interface PortAccess {
  /** Whether the delivery has a run in Port, and its organization has credentials. */
  canReport(delivery: Pick<Delivery, 'runId' | 'kind' | 'organization'>): boolean
  /** The client of an organization; null if it has no credentials. */
  client(organization: string): PortClient | null
  /** The delivery's run in Port. `unread`: Port didn't respond, or limits requests now. */
  read(delivery: Delivery): Promise<RunState | 'unread'>
  /** When Port accepts requests of an organization again, milliseconds since 1970. */
  freeAt(organization: string): number
  /** The latest such time of all organizations. */
  pausedUntil(): number
}

/** If Port has no run that could have finished, only GitHub shows the progress of the delivery. */
export const NO_PORT_RUN: RunState = { ...UNREAD, status: 'in_progress' }

/** @param clients by organization, those with credentials */
export function createPortAccess(clients: ReadonlyMap<string, PortClient>): PortAccess {
  const access: PortAccess = {
    canReport: ({ runId, kind, organization }) =>
      runId !== null && kind !== 'none' && clients.has(organization),
    client: organization => clients.get(organization) ?? null,
    freeAt: organization => clients.get(organization)?.pausedUntil() ?? 0,
    pausedUntil: () => Math.max(0, ...[...clients.values()].map(client => client.pausedUntil())),
    async read(delivery) {
      const { runId, organization } = delivery
      const client = clients.get(organization)
      if (!client || runId === null || !access.canReport(delivery)) return NO_PORT_RUN
      try {
        return await client.run(runId).read()
      } catch (error) {
        if (error instanceof PortError && error.kind === 'unknown_run') return NO_PORT_RUN
        // A retry wouldn't change that, and the result of the run must be sent all the same.
        if (error instanceof PortError && error.kind === 'refused') return UNREAD
        return 'unread'
      }
    },
  }
  return access
}
