import { createHash } from 'node:crypto'
import type { Delivery } from './delivery.ts'

// Trace IDs are derived from the delivery, so that any relay can continue the trace, and a repeated export has the same IDs.

/** A round of a delivery, which starts when the delivery is queued. Each redelivery starts another round in the same trace. */
type Round = Pick<Delivery, 'id' | 'queuedAt'>

/** The trace id: the delivery's UUID without dashes. */
export const traceId = (delivery: string): string => delivery.replaceAll('-', '')

/** Returns a span id of 16 hexadecimal digits. @param span a name that is unique within the round */
export const spanId = ({ id, queuedAt }: Round, span: string): string =>
  createHash('sha256').update(`${id} ${queuedAt} ${span}`).digest('hex').slice(0, 16)

/** The span of the workflow run. It is the parent of the spans that the workflow records. */
export const RUN_SPAN = 'run'

/** @see https://www.w3.org/TR/trace-context/#traceparent-header */
export const traceparent = (round: Round): string => `00-${traceId(round.id)}-${spanId(round, RUN_SPAN)}-01`
