import type { Context } from 'hono'
import { Problem } from '../problem.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { bearer } from './read-message.ts'
import type { ReportTokens } from './report-token.ts'

export interface BoundParts {
  store: Pick<Store, 'get'>
  tokens: Pick<ReportTokens, 'verify'>
  log: { warn: (fields: object, message: string) => void }
}

/**
 * A message under a report token, with the delivery that both name, which is bound to that token's run and
 * attempt still.
 *
 * @throws Problem 401, 403, and what `read` throws
 */
export async function boundDelivery<T extends { delivery: string }>(
  c: Context,
  { store, tokens, log }: BoundParts,
  read: (c: Context) => Promise<T>,
): Promise<{ message: T; delivery: Delivery }> {
  const bound = await tokens.verify(bearer(c))
  const message = await read(c)
  const delivery = message.delivery === bound.delivery ? await store.get(bound.delivery) : null
  if (delivery && delivery.githubRunId === bound.runId && delivery.githubRunAttempt === bound.runAttempt) {
    return { message, delivery }
  }
  log.warn(
    { delivery: message.delivery, github_run: bound.runId, attempt: bound.runAttempt },
    'a report was refused: its token is of another delivery, or of a run or attempt that is not the present one',
  )
  throw new Problem(403, 'This report token is not for this delivery, or of a run or attempt that is over.')
}
