import { RequestError } from '@octokit/request-error'
import type { ClientPayload } from '../../port/payload.ts'
import { type Invocation, isObject, type JsonObject } from '../../port/types.ts'
import type { Offer } from '../../workflow-files/dispatch-inputs.ts'
import { fitInputs, offeredNames, offerInputs } from '../../workflow-files/dispatch-inputs.ts'
import { type Dispatched, tooLargeSentence, undeclaredSentence } from '../../workflow-files/refusal.ts'
import type { WorkflowInputs } from '../../workflow-files/triggers.ts'
import { createTtlCache } from '../cache.ts'
import type { Credential } from './credentials.ts'
import { type DispatchPolicy, type DispatchResponse, postDispatch } from './dispatch.ts'
import { type DispatchOutcome, deferred, lost, PreparationError, RejectedError } from './errors.ts'
import type { RepositoryReader } from './repository.ts'
import { findResponse, foreignReason, rawMessage, readDocumentation } from './response.ts'
import { readWorkflowInputs } from './workflow-files.ts'
import {
  isUnknownField,
  isUnknownRef,
  missingInput,
  unexpectedInputs,
  workflowRefusal,
} from './workflow-refusal.ts'

interface Known {
  /** The inputs in the workflow file; null if the relay can't read the file. */
  file: WorkflowInputs | null
  /** The inputs that GitHub refused because the workflow doesn't declare them. */
  refused: ReadonlySet<string>
}

const WORKFLOW_ROUTE = '/actions/workflows/{workflow_id}/dispatches'
const RUN_DETAILS = 'return_run_details'
const BRANCH_MS = 600_000
/** How long the relay remembers a workflow's inputs. The time is short, so that the relay soon sends newly declared inputs. */
const KNOWN_MS = 60_000
/** How long the relay remembers that a server doesn't support `return_run_details`. */
const SERVER_MS = 3_600_000
/** The maximum number of requests per dispatch. Without the workflow file, more requests help, because each refusal shows what to change. */
const [MAX_REQUESTS, MAX_WITHOUT_FILE] = [3, 6]
/** The maximum number of refused names that the relay remembers per workflow. */
const MAX_REFUSED = 200

/**
 * Sends a `workflow_dispatch` with the inputs that the workflow declares. Because a refused dispatch starts nothing, it
 * is sent again without the fields that GitHub's message names: undeclared inputs, or `return_run_details`, which
 * Enterprise Server before 3.21 doesn't know. Throws the errors of `postDispatch` and `credential.use`.
 * @see https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event
 */
export function createWorkflowDispatcher(
  credential: Credential,
  { repository: readRepository }: RepositoryReader,
  clock: () => number,
) {
  const defaultBranches = createTtlCache<string>(BRANCH_MS, clock)
  const known = createTtlCache<Known>(KNOWN_MS, clock)
  const server = createTtlCache<'no run details'>(SERVER_MS, clock)
  const SERVER = 'server'

  return async (
    target: { repository: string; workflow: string; ref: string | null },
    content: { payload: ClientPayload; invocation: Invocation },
    policy: DispatchPolicy,
  ): Promise<DispatchOutcome> => {
    const { repository, workflow } = target
    const offerTo = ({ file }: Known) => offerInputs(content.invocation, content.payload, file)
    let isReread = false
    let learned: Known | null = null
    for (let requests = 1; ; requests++) {
      const ref = target.ref ?? (await findDefaultBranch(repository))
      const key = [repository.toLowerCase(), workflow, ref].join('\n')
      const dispatched = { repository, workflow, ref }
      const remembered = learned ? undefined : known.get(key)
      let current: Known = learned ?? remembered ?? (await readKnown(key, dispatched))
      let inputs = chooseInputs(dispatched, offerTo(current), current)
      if (inputs instanceof RejectedError && remembered) {
        // The file is read again before the dispatch fails, because an author may have fixed the workflow.
        current = await readKnown(key, dispatched)
        inputs = chooseInputs(dispatched, offerTo(current), current)
      }
      if (inputs instanceof RejectedError) throw inputs
      const wantsRun = server.get(SERVER) === undefined
      const body = { ref, inputs, ...(wantsRun && { [RUN_DETAILS]: true }) }
      const parameters = { placeholders: { workflow_id: workflow }, body }
      try {
        const response = await credential.use(repository, octokit =>
          postDispatch(octokit, repository, WORKFLOW_ROUTE, parameters, policy),
        )
        if ('foreign' in response) return deferred(response.foreign)
        if (response.status === 204 && wantsRun) server.set(SERVER, 'no run details')
        return { ...readResponse(response), response: response.id }
      } catch (error) {
        const refusal = readRefusal(error)
        if (!refusal) throw error
        const { status, message } = refusal
        // If an input is named `return_run_details`, GitHub's message may refer to the input.
        const isAboutField =
          wantsRun && isUnknownField(message, RUN_DETAILS) && !Object.hasOwn(inputs, RUN_DETAILS)
        if (isAboutField) server.set(SERVER, 'no run details')
        const more = learn(message, offerTo(current), current)
        if (more) {
          learned = more
          known.set(key, more)
        }
        if (isUnknownRef(message) && target.ref === null && !isReread) {
          isReread = true
          learned = null
          defaultBranches.delete(repository.toLowerCase())
        } else if (!(isAboutField || more) || requests === (current.file ? MAX_REQUESTS : MAX_WITHOUT_FILE)) {
          const documentation = readDocumentation(findResponse(error)?.data)
          const sentence = workflowRefusal([status, message, documentation], dispatched, inputs)
          throw new RejectedError(sentence, { cause: error })
        }
      }
    }
  }

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

  /** Reads a workflow's inputs from its file. If the file can't be read, the relay learns the undeclared inputs from GitHub's refusals. */
  async function readKnown(key: string, dispatched: Dispatched): Promise<Known> {
    const file = await readWorkflowInputs(credential, dispatched).catch(() => null)
    const read = { file, refused: new Set<string>() }
    known.set(key, read)
    return read
  }
}

/** Returns the inputs to send. Returns an error if an input that a user entered would be lost, or if the inputs are too large. */
function chooseInputs(
  dispatched: Dispatched,
  offer: Offer,
  known: Known,
): Record<string, string> | RejectedError {
  const fitted = fitInputs(offer, undeclaredIn(offer, known))
  if ('inputs' in fitted) return fitted.inputs
  return new RejectedError(
    'undeclared' in fitted
      ? undeclaredSentence(dispatched, fitted.undeclared, Object.keys(known.file?.declared ?? {}))
      : tooLargeSentence(dispatched, fitted.tooLarge),
  )
}

/** Returns the offered inputs that the workflow doesn't declare. Ignores the case of names, so GitHub decides whether case matters. */
function undeclaredIn(offer: Offer, { file, refused }: Known): ReadonlySet<string> {
  if (!file) return refused
  const declared = new Set(Object.keys(file.declared).map(name => name.toLowerCase()))
  return new Set([...offeredNames(offer).filter(name => !declared.has(name.toLowerCase())), ...refused])
}

function readResponse({ status, data }: DispatchResponse): DispatchOutcome {
  if (status === 204) return { kind: 'accepted', run: null }
  const { workflow_run_id: id, html_url: url } = isObject(data) ? data : ({} as JsonObject)
  if (status === 200 && typeof id === 'number') {
    return { kind: 'accepted', run: { id, url: typeof url === 'string' ? url : '' } }
  }
  return lost(foreignReason(status))
}

/** Returns a 400 or 422 with its message; null for other errors, and for responses that aren't from GitHub. */
function readRefusal(error: unknown): { status: number; message: string } | null {
  const response = error instanceof RequestError ? error.response : undefined
  if (!response || ![400, 422].includes(response.status) || !isObject(response.data)) return null
  return { status: response.status, message: rawMessage(response.data) }
}

/** Adds the inputs in GitHub's message to the known inputs. Returns null if the message shows no new input. */
function learn(message: string, offer: Offer, known: Known): Known | null {
  const undeclared = undeclaredIn(offer, known)
  const missing = missingInput(message)
  if (missing !== null && undeclared.has(missing)) return { file: null, refused: new Set() }
  const names = unexpectedInputs(message).filter(name => !undeclared.has(name))
  if (names.length === 0) return null
  const { file, refused } = known
  return { file, refused: new Set([...(refused.size < MAX_REFUSED ? refused : []), ...names]) }
}
