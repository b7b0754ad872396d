import type { ClientPayload } from '../../port/client-payload.ts'
import type { Inputs } from './inputs.ts'
import type { Runner } from './runner.ts'

/** The way to Port through the relay, for a job without credentials of Port. */
export interface RelayAccess {
  /** Where reports go, and exactly the audience of the OIDC token. */
  url: string
  delivery: string
  /** Whether the relay is asked for what did not fit the payload. */
  complete: boolean
  /** Whether the end of the run reaches Port through the relay alone. */
  ends: boolean
  /** Where the runner gives OIDC tokens; null where it gives none, or none is needed any more. */
  idToken: { url: string; requestToken: string } | null
  /** Given by the relay to this attempt of this workflow run. */
  token: string | null
}

/** Null where the relay takes no reports, or the job may not have OIDC tokens. */
export function findRelay(
  payload: ClientPayload,
  report: Inputs['report'],
  env: Runner['env'],
): RelayAccess | null {
  const { relay, delivery, truncated } = payload.port
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken } = env
  if (relay === null || !url || !requestToken) return null
  return {
    ...{
      url: relay,
      delivery,
      complete: truncated.length > 0,
      ends: report === 'job' || report === 'workflow',
    },
    ...{ idToken: { url, requestToken }, token: null },
  }
}
