import type { Octokit } from '@octokit/rest'
import type { ClientPayload } from '../../port/client-payload.ts'
import { type DispatchOutcome, deferred } from './dispatch-outcome.ts'
import { split } from './split.ts'

/** How GitHub points to the new address of a repository that was renamed or moved. */
const MOVED = [301, 302, 307, 308]

/**
 * Posts one `repository_dispatch`, and once more where GitHub answers that the repository has moved: followed by
 * fetch, a 301 or 302 would become a GET, which starts nothing. The token goes to no other address than GitHub's API.
 *
 * @param mayPost throws where it is too late to post
 * @throws what Octokit throws
 * @see https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
 */
export async function sendDispatch(
  octokit: Octokit,
  repository: string,
  dispatch: { event_type: string; client_payload: ClientPayload },
  mayPost: () => void,
): Promise<DispatchOutcome> {
  const api = new URL(octokit.request.endpoint.DEFAULTS.baseUrl).href.replace(/\/*$/, '/')
  const [owner, repo] = split(repository)
  const post = async (url: string, target = {}) => {
    mayPost()
    const request = { redirect: 'manual' as const }
    const { status, headers } = await octokit.request({
      method: 'POST',
      url,
      ...target,
      ...dispatch,
      request,
    })
    const moved = MOVED.includes(status) && headers.location !== undefined
    return { status, to: moved ? URL.parse(headers.location as string, api) : null }
  }
  let { status, to } = await post('/repos/{owner}/{repo}/dispatches', { owner, repo })
  if (to?.href.startsWith(api)) ({ status, to } = await post(to.href))
  if (status === 204) return { kind: 'accepted', run: null }
  const answered = `something between the relay and GitHub answered ${status}`
  if (!to) return { kind: 'answer_lost', reason: answered }
  const reason = `${answered}, which points to ${to.origin}: GITHUB_API_URL has to be the address of GitHub's API itself`
  return deferred(reason)
}

/** Why GitHub rejected a `repository_dispatch`. */
export function repositoryDispatchRefusal(
  status: number,
  says: string,
  { repository, eventType }: { repository: string; eventType: string },
): string {
  switch (status) {
    case 403:
      return `GitHub does not let the relay dispatch to ${repository} (403: ${says}): its token or App needs the permission Contents: write on it.`
    case 404:
      return `GitHub cannot see ${repository}: it does not exist, or the relay's token lacks Contents: write on it.`
    case 422:
      return `GitHub refused the payload for "${eventType}" in ${repository} (422: ${says}).`
    default:
      return `GitHub refused the dispatch of "${eventType}" to ${repository} (${status}: ${says}).`
  }
}
