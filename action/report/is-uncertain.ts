import { wasNotSent } from '../../port/client/network-error.ts'
import { PortError } from '../../port/client/port-client.ts'

/**
 * Whether what was asked for may have been done all the same: the answer got lost, or does not show
 * that. After a 503, or one of these 4xx, the request was not processed; without a token it was not sent.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-503-service-unavailable
 */
export function isUncertain(error: unknown): error is PortError {
  if (!(error instanceof PortError) || error.kind !== 'unreachable' || error.ofToken) return false
  if (error.status !== null) return ![409, 425, 429, 503].includes(error.status)
  return !wasNotSent(error)
}
