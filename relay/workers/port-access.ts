import { type PortClient, PortError } from '../../port/client/client.ts'
import { UNREAD } from '../../port/client/messages.ts'
import type { RunState } from '../../port/types.ts'
import type { Delivery } from '../delivery/delivery.ts'

/** Access to Port. Only this interface decides for which deliveries the relay reads from Port or sends to it. */
export interface PortAccess {
  /** Whether the delivery has a run in Port and the relay has the organization's credentials. */
  canReport(delivery: Pick<Delivery, 'runId' | 'kind' | 'organization'>): boolean
  /** Returns an organization's client; null if the organization has no credentials. */
  client(organization: string): PortClient | null
  /** Reads the delivery's run in Port. Returns `unread` if Port doesn't respond or is limiting requests. */
  read(delivery: Delivery): Promise<RunState | 'unread'>
  /** When Port accepts the organization's requests again, milliseconds since 1970. */
  freeAt(organization: string): number
  /** The latest `freeAt` of all organizations. */
  pausedUntil(): number
}

/** Stands for a delivery without a readable Port run. Only GitHub shows its progress. */
export const NO_PORT_RUN: RunState = { ...UNREAD, status: 'in_progress' }

/** @param clients clients of the organizations that have credentials, by organization id */
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
        // A retry wouldn't help, and the result still has to be sent to Port.
        if (error instanceof PortError && error.kind === 'refused') return UNREAD
        return 'unread'
      }
    },
  }
  return access
}
