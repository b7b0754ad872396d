import type { Octokit } from '@octokit/rest'
import type { ClientPayload } from '../../port/client-payload.ts'
import { type DispatchOutcome, deferred } from './dispatch-outcome.ts'
import { forbiddenHint } from './forbidden-hint.ts'
import { type DispatchPolicy, postDispatch } from './post-dispatch.ts'

/**
 * Sends a `repository_dispatch`. GitHub accepts it also where no workflow listens to it.
 *
 * @throws what `postDispatch` throws
 * @see https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event
 */
export async function sendRepositoryDispatch(
  octokit: Octokit,
  { repository, eventType }: { repository: string; eventType: string },
  payload: ClientPayload,
  policy: DispatchPolicy,
): Promise<DispatchOutcome> {
  const body = { event_type: eventType, client_payload: payload }
  const answer = await postDispatch(octokit, repository, '/dispatches', { body }, policy)
  if ('foreign' in answer) return deferred(answer.foreign)
  const { status, id } = answer
  if (status === 204) return { kind: 'accepted', run: null, answer: id }
  const reason = `something between the relay and GitHub answered ${status}`
  return { kind: 'answer_lost', reason, answer: id }
}

/** Why GitHub rejected a `repository_dispatch`. */
export function repositoryDispatchRefusal(
  status: number,
  message: string,
  { repository, eventType }: { repository: string; eventType: string },
): string {
  switch (status) {
    case 403:
      return `GitHub does not let the relay dispatch to ${repository} (403: ${message}): ${forbiddenHint(message, 'Contents: write')}.`
    case 404:
      return `GitHub cannot see ${repository}: it does not exist, or the relay's token lacks Contents: write on it.`
    case 422:
      return `GitHub rejected the payload for "${eventType}" in ${repository} (422: ${withoutQuotes(message)}).`
    default:
      return `GitHub rejected the dispatch of "${eventType}" to ${repository} (${status}: ${withoutQuotes(message)}).`
  }
}

/** What GitHub quotes may be the value of an input: from there on, nothing is shown. */
const withoutQuotes = (message: string) =>
  message.replace(/(["'`])(client_payload|event_type)\1/g, '$2').replace(/["'`].*/s, '***')
