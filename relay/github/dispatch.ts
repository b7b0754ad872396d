import type { Octokit } from '@octokit/rest'
import type { ClientPayload } from '../../port/payload.ts'
import { trimEnd } from '../../port/text.ts'
import type { Json } from '../../port/types.ts'
import { atOf } from './credentials.ts'
import {
  DelayedError,
  type DispatchOutcome,
  deferred,
  forbiddenHint,
  hiddenSentence,
  isProtection,
  type Listed,
  lost,
  PROTECTION_HINT,
  PreparationError,
  type Refused,
  RejectedError,
} from './errors.ts'
import { foreignReason, type ResponseId, responseId, withoutValues } from './response.ts'

/**
 * Sends a `repository_dispatch`. GitHub accepts it even if no workflow listens to it.
 * @see https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event
 */
export async function sendRepositoryDispatch(
  octokit: Octokit,
  { repository, eventType }: { repository: string; eventType: string },
  payload: ClientPayload,
  policy: DispatchPolicy,
): Promise<DispatchOutcome> {
  const body = { event_type: eventType, client_payload: payload }
  const response = await postDispatch(octokit, repository, '/dispatches', { body }, policy)
  if ('foreign' in response) return deferred(response.foreign)
  const { status, id } = response
  if (status === 204) return { kind: 'accepted', run: null, response: id }
  return { ...lost(foreignReason(status)), response: id }
}

/** Explains why GitHub rejected a `repository_dispatch`. Omits the values of its payload. */
export function repositoryDispatchRefusal(
  [status, message, documentation]: Refused,
  { repository, eventType, listed }: { repository: string; eventType: string; listed: Listed },
  { port }: ClientPayload,
): string {
  const { inputs, entity, event, trigger } = port
  const said = withoutValues(message, [inputs, entity, event, trigger] as unknown as Json)
  if (isProtection(message)) {
    return `GitHub doesn't let the relay start workflows in ${repository} (${status}): ${PROTECTION_HINT}.`
  }
  switch (status) {
    case 403:
      return `GitHub doesn't let the relay dispatch to ${repository} (403: ${said}): ${forbiddenHint(message, 'Contents: write', documentation)}`
    case 404:
      if (listed === 'hidden') return hiddenSentence(repository)
      if (listed)
        return `The relay's token or App can read ${repository}, but can't dispatch to it (404): it lacks Contents: write on the repository.`
      return `GitHub can't find ${repository}: the repository doesn't exist, or the relay's token or App lacks Contents: write on the repository.`
    case 422:
      return `GitHub rejected the payload for "${eventType}" in ${repository} (422: ${said}).${documentation}`
    default:
      return `GitHub rejected the dispatch of "${eventType}" to ${repository} (${status}: ${said}).${documentation}`
  }
}

export type DispatchResponse = { status: number; data: unknown; id: ResponseId }

export interface DispatchPolicy {
  maySend: () => boolean
  /** Whether RELAY_ALLOWED_REPOSITORIES lets the relay dispatch to a repository. */
  isAllowed: (repository: string) => boolean
}

/** The statuses with which GitHub redirects to a renamed or transferred repository. */
const MOVED = [301, 302, 307, 308]
/** Matches the path after `/repos/OWNER/NAME` or `/repositories/ID`. */
const ROUTE =
  /(\/actions\/workflows\/[^/]+)?\/dispatches$|\/actions\/runs\/\d+\/((force-)?cancel|rerun-failed-jobs)$/

/**
 * Posts a dispatch, a cancellation, or a re-run. If the repository has moved, and RELAY_ALLOWED_REPOSITORIES includes
 * the new name, posts to the new URL. `fetch` would follow a 301 or 302 with a GET. Never sends the token to a host
 * other than that of GitHub's API.
 * @returns `foreign`: a clause if the response isn't from GitHub, which means that nothing was started
 * @throws Octokit's errors, RejectedError, PreparationError, and DelayedError
 * @see https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
 */
export async function postDispatch(
  octokit: Octokit,
  repository: string,
  route: string,
  parameters: { placeholders?: Record<string, string | number>; body?: object },
  { maySend, isAllowed }: DispatchPolicy,
): Promise<DispatchResponse | { foreign: string }> {
  const api = `${trimEnd(new URL(octokit.request.endpoint.DEFAULTS.baseUrl).href, '/')}/`
  const post = async (url: string, placeholders = {}) => {
    if (!maySend()) throw new DelayedError()
    const { status, headers, data } = await octokit.request({
      method: 'POST',
      url,
      ...placeholders,
      ...parameters.body,
      request: { redirect: 'manual' as const },
    })
    const moved = MOVED.includes(status) && headers.location !== undefined
    return {
      status,
      data: data as unknown,
      id: responseId(status, headers),
      to: moved ? URL.parse(headers.location as string, api) : null,
    }
  }

  let response = await post(`/repos/{owner}/{repo}${route}`, {
    ...atOf(repository),
    ...parameters.placeholders,
  })
  if (response.to?.href.startsWith(api) && ROUTE.test(response.to.pathname)) {
    const name = await readName(octokit, response.to.href.replace(ROUTE, ''))
    if (!isAllowed(name)) {
      throw new RejectedError(
        `${repository} is now ${name} on GitHub, which RELAY_ALLOWED_REPOSITORIES doesn't include: add ${name} to that list, or correct the target.`,
      )
    }
    response = await post(response.to.href)
  }
  if (!response.to) return response
  return {
    foreign: `${foreignReason(response.status)} and redirects to ${response.to.origin}: set GITHUB_API_URL to the URL of GitHub's API itself`,
  }
}

async function readName(octokit: Octokit, url: string): Promise<string> {
  try {
    const { data } = await octokit.request({ method: 'GET', url })
    return String((data as { full_name?: unknown }).full_name)
  } catch (error) {
    throw new PreparationError(error)
  }
}
