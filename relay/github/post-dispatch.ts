import type { Octokit } from '@octokit/rest'
import { trimEnd } from '../../port/trim-end.ts'
import { atOf } from './credential.ts'
import { PreparationError, RejectedError } from './dispatch-outcome.ts'
import { type AnswerId, answerId } from './github-answer.ts'

/** GitHub's answer to a dispatch. */
export interface GitHubAnswer {
  status: number
  data: unknown
  id: AnswerId
}

/** `foreign`: a clause on why it is not GitHub's; nothing was started. */
type DispatchAnswer = GitHubAnswer | { foreign: string }

export interface DispatchPolicy {
  /** Throws where it is too late to send. */
  mayPost: () => void
  /** Whether the relay may dispatch to a repository, by RELAY_ALLOWED_REPOSITORIES. */
  isAllowed: (repository: string) => boolean
}

/** How GitHub points to the new address of a repository that was renamed or moved. */
const MOVED = [301, 302, 307, 308]
/** What follows the address of a repository, `/repos/OWNER/NAME` or `/repositories/ID`. */
const ROUTE = /(\/actions\/workflows\/[^/]+)?\/dispatches$|\/actions\/runs\/\d+\/(force-)?cancel$/

/**
 * Posts a dispatch, or a request to cancel a run, and once more where GitHub answers that the repository has moved: followed by fetch, a 301 or 302
 * would become a GET, which starts nothing. The repository's new name has to be allowed, and the token goes to no
 * other address than GitHub's API.
 *
 * @param route such as `/dispatches`, with Octokit's placeholders
 * @param parameters the placeholders' values and the body
 * @throws what Octokit throws, RejectedError, PreparationError, and what `mayPost` throws
 * @see https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
 */
export async function postDispatch(
  octokit: Octokit,
  repository: string,
  route: string,
  parameters: { placeholders?: Record<string, string | number>; body?: object },
  { mayPost, isAllowed }: DispatchPolicy,
): Promise<DispatchAnswer> {
  const api = `${trimEnd(new URL(octokit.request.endpoint.DEFAULTS.baseUrl).href, '/')}/`
  const post = async (url: string, placeholders = {}) => {
    mayPost()
    const { status, headers, data } = await octokit.request({
      method: 'POST',
      url,
      ...placeholders,
      ...parameters.body,
      request: { redirect: 'manual' as const },
    })
    const moved = MOVED.includes(status) && headers.location !== undefined
    const id = answerId(status, headers)
    return {
      status,
      data: data as unknown,
      id,
      to: moved ? URL.parse(headers.location as string, api) : null,
    }
  }

  let answer = await post(`/repos/{owner}/{repo}${route}`, {
    ...atOf(repository),
    ...parameters.placeholders,
  })
  if (answer.to?.href.startsWith(api) && ROUTE.test(answer.to.pathname)) {
    const name = await readName(octokit, answer.to.href.replace(ROUTE, ''))
    if (!isAllowed(name)) {
      throw new RejectedError(
        `${repository} is ${name} on GitHub now, which RELAY_ALLOWED_REPOSITORIES does not allow: add ${name} to it, or correct the target.`,
      )
    }
    answer = await post(answer.to.href)
  }
  if (!answer.to) return answer
  return {
    foreign: `something between the relay and GitHub answered ${answer.status}, which points to ${answer.to.origin}: GITHUB_API_URL has to be the address of GitHub's API itself`,
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
