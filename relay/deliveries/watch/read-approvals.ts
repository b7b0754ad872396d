import type { GitHub } from '../../github/client.ts'
import type { RequestBudget } from '../../github/request-budget.ts'
import type { Delivery, DeliveryRun } from '../../store/delivery.ts'
import type { DeliveryEvent } from '../transition/events.ts'

/**
 * Reads whom the runs of a delivery wait for, and what was decided.
 *
 * @returns null where GitHub does not show it now, as without the permission
 */
export async function readApprovals(
  { repository }: Delivery,
  runs: readonly DeliveryRun[],
  { github, budget }: { github: Pick<GitHub, 'pendingDeployments' | 'approvals'>; budget: RequestBudget },
): Promise<DeliveryEvent | null> {
  const present = runs.filter(run => !run.past)
  const requests = present.map(run => (run.status === 'waiting' ? 2 : 1)).reduce((all, each) => all + each, 0)
  if (present.length === 0 || !budget.take(requests)) return null
  try {
    const found = await Promise.all(
      present.map(async run => ({
        pending: run.status === 'waiting' ? await github.pendingDeployments(repository, run.id) : [],
        decided: await github.approvals(repository, run.id),
      })),
    )
    return {
      type: 'approvalSeen',
      pending: found.flatMap(({ pending }) => pending),
      decided: found.flatMap(({ decided }) => decided).filter(({ state }) => state !== 'pending'),
      url: present[0]?.url ?? '',
    }
  } catch {
    return null
  }
}
