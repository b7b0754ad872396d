import type { Octokit } from '@octokit/rest'
import type { ClientPayload } from '../../port/client-payload.ts'
import { trimEnd } from '../../port/trim-end.ts'
import type { Outcome } from './errors.ts'
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
): Promise<Outcome> {
  const api = `${trimEnd(new URL(octokit.request.endpoint.DEFAULTS.baseUrl).href, '/')}/`
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
  if (status === 204) return { kind: 'accepted' }
  const answered = `something between the relay and GitHub answered ${status}`
  if (!to) return { kind: 'unclear', reason: answered }
  const reason = `${answered}, which points to ${to.origin}: GITHUB_API_URL has to be the address of GitHub's API itself`
  return { kind: 'later', at: null, reason, everyone: false }
}
