import type { ClientPayload } from '../../port/payload.ts'
import { trimEnd } from '../../port/text.ts'
import type { Inputs } from './inputs.ts'
import { help, type Runner } from './runner.ts'

/** The way to Port through the relay, for a job without credentials of Port. */
export interface RelayAccess {
  /** Where reports go, and exactly the audience of the OIDC token. */
  url: string
  delivery: string
  /** Whether the relay is asked for what did not fit the payload. */
  complete: boolean
  /** Whether the end of the run reaches Port through the relay alone. */
  ends: boolean
  /** Where the runner gives OIDC tokens; null if it gives none, or none is needed any more. */
  idToken: { url: string; requestToken: string } | null
  /** Given by the relay to this attempt of this workflow run. */
  token: string | null
}

/**
 * Null if the relay accepts no reports, or the job may not have OIDC tokens.
 *
 * @throws Error with a sentence if the payload names another relay than the author
 */
export function findRelay(
  payload: ClientPayload,
  { report, relayUrl }: Pick<Inputs, 'report' | 'relayUrl'>,
  env: Runner['env'],
): RelayAccess | null {
  const { relay, delivery, truncated } = payload.port
  if (relay !== null && relayUrl !== '' && trimEnd(relay, '/') !== trimEnd(relayUrl, '/')) {
    throw new Error(
      `The payload names the relay ${relay}, and the input relay-url only accepts ${relayUrl}: if the relay has moved, change ` +
        `relay-url; otherwise, somebody else started this run.${help(env, 'payload')}`,
    )
  }
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
