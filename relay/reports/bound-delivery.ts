import type { Context } from 'hono'
import { bearer } from '../http/bearer.ts'
import { Problem } from '../http/problem.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Message, Store } from '../store/store.ts'
import type { ReportTokens } from './report-token.ts'

export interface BoundParts {
  store: Pick<Store, 'get'>
  tokens: Pick<ReportTokens, 'verify'>
  log: Log
}

interface Log {
  warn: (fields: object, message: string) => void
}

/** The workflow run that a report token is of. */
type Bound = Pick<Message, 'githubRunId' | 'githubRunAttempt'>

/**
 * A message under a report token, with the delivery that both name, which is bound to that token's run and
 * attempt still. The token comes first: nobody without one has the relay hold a body.
 *
 * @throws Problem 401, 403, and what `read` throws
 */
export async function boundDelivery<T extends { delivery: string }>(
  c: Context,
  { store, tokens, log }: BoundParts,
  read: () => Promise<T>,
): Promise<{ message: T; delivery: Delivery; bound: Bound }> {
  const { delivery: id, runId, runAttempt } = await tokens.verify(bearer(c))
  const bound = { githubRunId: runId, githubRunAttempt: runAttempt }
  const message = await read()
  const delivery = message.delivery === id ? await store.get(id) : null
  if (delivery?.githubRunId === runId && delivery.githubRunAttempt === runAttempt)
    return { message, delivery, bound }
  throw refuseUnbound(log, message.delivery, bound)
}

export function refuseUnbound(log: Log, delivery: string, bound: Bound): Problem {
  log.warn(
    { delivery, github_run: bound.githubRunId, attempt: bound.githubRunAttempt },
    'a report was refused: its token is of another delivery, or of a run or attempt that is not the present one',
  )
  return new Problem(403, 'This report token is not for this delivery, or of a run or attempt that is over.')
}
