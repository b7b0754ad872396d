import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import type { ClientPayload } from '../../port/payload.ts'
import { trimEnd } from '../../port/text.ts'
import { type Invocation, isObject, type JsonObject } from '../../port/types.ts'
import { LIMITS } from '../config/limits.ts'
import { atOf, type Credential } from './credentials.ts'
import { type DispatchOutcome, deferred, forbiddenHint, PreparationError, RejectedError } from './errors.ts'
import type { RepositoryReader } from './repository.ts'
import { type ResponseId, rawMessage, responseId } from './response.ts'
import { fitInputs, type Offer, offeredNames, offerInputs, readDeclaredInputs } from './workflow-inputs.ts'
import {
  createTtlCache,
  type Dispatched,
  isUnknownField,
  isUnknownRef,
  missingInput,
  tooLargeSentence,
  undeclaredSentence,
  unexpectedInputs,
  workflowRefusal,
} from './workflow-refusal.ts'

interface WorkflowTarget {
  repository: string
  /** File name or id. */
  workflow: string
  /** Branch or tag; null: the default branch. */
  ref: string | null
}

export type WorkflowDispatcher = (
  target: WorkflowTarget,
  content: { payload: ClientPayload; invocation: Invocation },
  policy: DispatchPolicy,
) => Promise<DispatchOutcome>

const WORKFLOW_ROUTE = '/actions/workflows/{workflow_id}/dispatches'
const RUN_DETAILS = 'return_run_details'
const BRANCH_MS = 600_000
/** An input that the workflow has come to declare must soon be sent again. */
const UNDECLARED_MS = 60_000
/** A server may be upgraded. */
const SERVER_MS = 3_600_000
/** Each request after the first follows a refusal that showed what to send instead. */
const MAX_REQUESTS = 6
/** The number of names that are remembered of one workflow. */
const MAX_UNDECLARED = 200

/**
 * Sends a `workflow_dispatch`. It is not idempotent, so it is repeated only after a refusal, which started nothing:
 * without inputs that the workflow does not declare, and without `return_run_details` where the server does not know
 * it (Enterprise Server before 3.21). Both are remembered for the next dispatch.
 *
 * @returns a function that throws what `postDispatch` and `credential.use` throw
 * @see https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event
 */
export function createWorkflowDispatcher(
  credential: Credential,
  { repository: readRepository }: RepositoryReader,
  clock: () => number,
): WorkflowDispatcher {
  const defaultBranches = createTtlCache<string>(BRANCH_MS, clock)
  /** Names of inputs, by repository, workflow and ref. */
  const undeclared = createTtlCache<ReadonlySet<string>>(UNDECLARED_MS, clock)
  const server = createTtlCache<'no run details'>(SERVER_MS, clock)
  const SERVER = 'server'

  async function findDefaultBranch(repository: string): Promise<string> {
    const key = repository.toLowerCase()
    const known = defaultBranches.get(key)
    if (known !== undefined) return known
    try {
      const { defaultBranch } = await readRepository(repository)
      defaultBranches.set(key, defaultBranch)
      return defaultBranch
    } catch (error) {
      throw new PreparationError(error)
    }
  }

  /** The inputs that the file declares; null if it can't be read: it only helps to say what is wrong. */
  function readInputs(dispatched: Dispatched): Promise<JsonObject | null> {
    return readDeclaredInputs(credential, dispatched, LIMITS.workflowFile.value).catch(() => null)
  }

  function remembered(key: string): Undeclared {
    const names = undeclared.get(key)
    return names ? { names, from: 'memory' } : { names: new Set(), from: 'refusals' }
  }

  /** @throws RejectedError where an input of the user would get lost, or they are too large */
  async function choose(
    dispatched: Dispatched,
    offer: Offer,
    known: Undeclared,
  ): Promise<{ inputs: Record<string, string>; known: Undeclared }> {
    const fitted = fitInputs(offer, known.names)
    if ('inputs' in fitted) return { inputs: fitted.inputs, known }
    // The workflow may have been corrected: nothing fails because of what an earlier dispatch has learned.
    if (known.from === 'memory') return choose(dispatched, offer, { names: new Set(), from: 'refusals' })
    if ('undeclared' in fitted) {
      const declared = Object.keys((await readInputs(dispatched)) ?? {})
      throw new RejectedError(undeclaredSentence(dispatched, fitted.undeclared, declared))
    }
    // Without what isn't declared, it may fit.
    const declared = known.from === 'file' ? null : await readInputs(dispatched)
    if (!declared) throw new RejectedError(tooLargeSentence(dispatched, fitted.tooLarge))
    const names = offeredNames(offer).filter(name => !Object.hasOwn(declared, name))
    return choose(dispatched, offer, { names: new Set(names), from: 'file' })
  }

  return async (target, content, policy) => {
    const { repository, workflow } = target
    const offer = offerInputs(content.invocation, content.payload)
    let isReread = false
    let learned: Undeclared | null = null
    for (let requests = 1; ; requests++) {
      const ref = target.ref ?? (await findDefaultBranch(repository))
      const key = [repository.toLowerCase(), workflow, ref].join('\n')
      const dispatched = { repository, workflow, ref }
      const before = learned ?? remembered(key)
      const { inputs, known }: Awaited<ReturnType<typeof choose>> = await choose(dispatched, offer, before)
      const wantsRun = server.get(SERVER) === undefined
      const body = { ref, inputs, ...(wantsRun && { [RUN_DETAILS]: true }) }
      const parameters = { placeholders: { workflow_id: workflow }, body }
      try {
        const answer = await credential.use(repository, octokit =>
          postDispatch(octokit, repository, WORKFLOW_ROUTE, parameters, policy),
        )
        if ('foreign' in answer) return deferred(answer.foreign)
        if (answer.status === 204 && wantsRun) server.set(SERVER, 'no run details')
        return { ...readResponse(answer), response: answer.id }
      } catch (error) {
        const refusal = readRefusal(error)
        if (!refusal) throw error
        const { status, message } = refusal
        // An input may have the field's name: then the message may be about the input.
        const isServers =
          wantsRun && isUnknownField(message, RUN_DETAILS) && !Object.hasOwn(inputs, RUN_DETAILS)
        if (isServers) server.set(SERVER, 'no run details')
        const names = learn(message, known.names)
        if (names) {
          learned = { names, from: known.from === 'memory' ? 'memory' : 'refusals' }
          undeclared.set(key, names)
        }
        if (isUnknownRef(message) && target.ref === null && !isReread) {
          isReread = true
          learned = null
          defaultBranches.forget(repository.toLowerCase())
        } else if (!(isServers || names) || requests === MAX_REQUESTS) {
          throw new RejectedError(workflowRefusal(status, message, dispatched, inputs), error)
        }
      }
    }
  }
}

/** Inputs that a workflow doesn't declare, and what showed it: an earlier dispatch, refusals of this one, or its file. */
interface Undeclared {
  names: ReadonlySet<string>
  from: 'memory' | 'refusals' | 'file'
}

/** What a workflow doesn't declare, after a refusal; null if the refusal shows nothing new. */
function learn(message: string, known: ReadonlySet<string>): ReadonlySet<string> | null {
  const missing = missingInput(message)
  if (missing !== null && known.has(missing)) return new Set()
  const names = unexpectedInputs(message).filter(name => !known.has(name))
  if (names.length === 0) return null
  return new Set([...(known.size < MAX_UNDECLARED ? known : []), ...names])
}

function readResponse({ status, data }: Pick<GitHubResponse, 'status' | 'data'>): DispatchOutcome {
  if (status === 204) return { kind: 'accepted', run: null }
  const { workflow_run_id: id, html_url: url } = isObject(data) ? data : ({} as JsonObject)
  if (status === 200 && typeof id === 'number') {
    return { kind: 'accepted', run: { id, url: typeof url === 'string' ? url : '' } }
  }
  return { kind: 'response_lost', reason: `something between the relay and GitHub responded with ${status}` }
}

/** GitHub's own 400 or 422: nothing was started. */
function readRefusal(error: unknown): { status: number; message: string } | null {
  const response = error instanceof RequestError ? error.response : undefined
  if (!response || ![400, 422].includes(response.status) || !isObject(response.data)) return null
  return { status: response.status, message: rawMessage(response.data) }
}

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
  if (status === 204) return { kind: 'accepted', run: null, response: id }
  const reason = `something between the relay and GitHub responded with ${status}`
  return { kind: 'response_lost', reason, response: id }
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

/** GitHub's answer to a dispatch. */
interface GitHubResponse {
  status: number
  data: unknown
  id: ResponseId
}

/** `foreign`: a clause on why it is not GitHub's; nothing was started. */
type DispatchResponse = GitHubResponse | { foreign: string }

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
): Promise<DispatchResponse> {
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
    const id = responseId(status, headers)
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
    foreign: `something between the relay and GitHub responded with ${answer.status}, which points to ${answer.to.origin}: GITHUB_API_URL has to be the address of GitHub's API itself`,
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
