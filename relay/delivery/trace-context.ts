import { createHash } from 'node:crypto'
import type { Delivery } from './delivery.ts'

/*
 * The ids of a delivery's trace are derived from the delivery, so that any relay continues the trace, and a trace that is
 * exported twice is the same trace.
 */

/** A delivery since it was queued: each redelivery is a round of its own within the trace. */
type Round = Pick<Delivery, 'id' | 'queuedAt'>

/** 32 hexadecimal digits: the delivery's id, which is a UUID, without the dashes. */
export function traceId(delivery: string): string {
  const digits = delivery.replaceAll('-', '').toLowerCase()
  return /^[0-9a-f]{32}$/.test(digits) ? digits : hash(delivery, 32)
}

/** 16 hexadecimal digits. @param span names it within the round */
export const spanId = ({ id, queuedAt }: Round, span: string): string => hash(`${id} ${queuedAt} ${span}`, 16)

/** Of the workflow run: what a workflow records belongs to it. */
export const RUN_SPAN = 'run'

/** @see https://www.w3.org/TR/trace-context/#traceparent-header */
export const traceparent = (round: Round): string => `00-${traceId(round.id)}-${spanId(round, RUN_SPAN)}-01`

const hash = (text: string, digits: number) =>
  createHash('sha256').update(text).digest('hex').slice(0, digits)
