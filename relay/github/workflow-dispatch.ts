import { RequestError } from '@octokit/request-error'
import type { ClientPayload } from '../../port/payload.ts'
import { type Invocation, isObject, type JsonObject } from '../../port/types.ts'
import { createTtlCache } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import type { Credential } from './credentials.ts'
import { type DispatchPolicy, type DispatchResponse, postDispatch } from './dispatch.ts'
import { type DispatchOutcome, deferred, lost, PreparationError, RejectedError } from './errors.ts'
import type { RepositoryReader } from './repository.ts'
import { findResponse, foreignReason, rawMessage, readDocumentation } from './response.ts'
import { fitInputs, type Offer, offeredNames, offerInputs, readDeclaredInputs } from './workflow-inputs.ts'
import {
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
  /** Branch or tag; null means the default branch. */
  ref: string | null
}

export type WorkflowDispatcher = (
  target: WorkflowTarget,
  content: { payload: ClientPayload; invocation: Invocation },
  policy: DispatchPolicy,
) => Promise<DispatchOutcome>

/** Inputs that a workflow doesn't declare, known from an earlier dispatch, this dispatch's refusals, or the file. */
interface Undeclared {
  names: ReadonlySet<string>
  from: 'memory' | 'refusals' | 'file'
}

const WORKFLOW_ROUTE = '/actions/workflows/{workflow_id}/dispatches'
const RUN_DETAILS = 'return_run_details'
const BRANCH_MS = 600_000
/** Short, so that newly declared inputs are sent soon. */
const UNDECLARED_MS = 60_000
/** Limited, because the server can be upgraded. */
const SERVER_MS = 3_600_000
/** Maximum number of requests per dispatch. Each refusal shows what to change in the next request. */
const MAX_REQUESTS = 6
/** The number of names to remember per workflow. */
const MAX_UNDECLARED = 200

/**
 * Sends a `workflow_dispatch`. A dispatch isn't idempotent, but a refused dispatch starts nothing. Only a refused
 * dispatch is therefore repeated. The repeated request omits undeclared inputs, and `return_run_details` if the server
 * doesn't support that field (Enterprise Server before 3.21). Both omissions are remembered for later dispatches.
 *
 * @returns a function that throws the errors of `postDispatch` and `credential.use`
 * @see https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event
 */
export function createWorkflowDispatcher(
  credential: Credential,
  { repository: readRepository }: RepositoryReader,
  clock: () => number,
): WorkflowDispatcher {
  const defaultBranches = createTtlCache<string>(BRANCH_MS, clock)
  /** Input names, by repository, workflow, and ref. */
  const undeclared = createTtlCache<ReadonlySet<string>>(UNDECLARED_MS, clock)
  const server = createTtlCache<'no run details'>(SERVER_MS, clock)
  const SERVER = 'server'

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
      const { inputs, known }: Chosen = await chooseInputs(dispatched, offer, before)
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
        // If an input has the same name as the field, the message may refer to the input.
        const isAboutField =
          wantsRun && isUnknownField(message, RUN_DETAILS) && !Object.hasOwn(inputs, RUN_DETAILS)
        if (isAboutField) server.set(SERVER, 'no run details')
        const names = learn(message, known.names)
        if (names) {
          learned = { names, from: known.from === 'memory' ? 'memory' : 'refusals' }
          undeclared.set(key, names)
        }
        if (isUnknownRef(message) && target.ref === null && !isReread) {
          isReread = true
          learned = null
          defaultBranches.delete(repository.toLowerCase())
        } else if (!(isAboutField || names) || requests === MAX_REQUESTS) {
          throw new RejectedError(
            workflowRefusal(
              status,
              message,
              dispatched,
              inputs,
              readDocumentation(findResponse(error)?.data),
            ),
            error,
          )
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

  function remembered(key: string): Undeclared {
    const names = undeclared.get(key)
    return names ? { names, from: 'memory' } : { names: new Set(), from: 'refusals' }
  }

  /** @throws RejectedError if a user's input would get lost, or if the inputs are too large */
  async function chooseInputs(dispatched: Dispatched, offer: Offer, known: Undeclared): Promise<Chosen> {
    const fitted = fitInputs(offer, known.names)
    if ('inputs' in fitted) return { inputs: fitted.inputs, known }
    // Remembered names alone don't cause a failure, because the workflow may have been fixed.
    if (known.from === 'memory')
      return chooseInputs(dispatched, offer, { names: new Set(), from: 'refusals' })
    if ('undeclared' in fitted) {
      const declared = Object.keys((await readInputs(dispatched)) ?? {})
      throw new RejectedError(undeclaredSentence(dispatched, fitted.undeclared, declared))
    }
    // Without undeclared inputs, the other inputs may fit.
    const declared = known.from === 'file' ? null : await readInputs(dispatched)
    if (!declared) throw new RejectedError(tooLargeSentence(dispatched, fitted.tooLarge))
    const names = offeredNames(offer).filter(name => !Object.hasOwn(declared, name))
    return chooseInputs(dispatched, offer, { names: new Set(names), from: 'file' })
  }

  /** Reads the inputs that the file declares, to explain a rejection. Returns null if the file can't be read. */
  function readInputs(dispatched: Dispatched): Promise<JsonObject | null> {
    return readDeclaredInputs(credential, dispatched, LIMITS.workflowFile.value).catch(() => null)
  }
}

interface Chosen {
  inputs: Record<string, string>
  known: Undeclared
}

function readResponse({ status, data }: DispatchResponse): DispatchOutcome {
  if (status === 204) return { kind: 'accepted', run: null }
  const { workflow_run_id: id, html_url: url } = isObject(data) ? data : ({} as JsonObject)
  if (status === 200 && typeof id === 'number') {
    return { kind: 'accepted', run: { id, url: typeof url === 'string' ? url : '' } }
  }
  return lost(foreignReason(status))
}

/** Reads a 400 or 422 from GitHub itself. Such a response means that nothing was started. */
function readRefusal(error: unknown): { status: number; message: string } | null {
  const response = error instanceof RequestError ? error.response : undefined
  if (!response || ![400, 422].includes(response.status) || !isObject(response.data)) return null
  return { status: response.status, message: rawMessage(response.data) }
}

/** Returns the undeclared inputs known after a refusal; null if the refusal shows no new input. */
function learn(message: string, known: ReadonlySet<string>): ReadonlySet<string> | null {
  const missing = missingInput(message)
  if (missing !== null && known.has(missing)) return new Set()
  const names = unexpectedInputs(message).filter(name => !known.has(name))
  if (names.length === 0) return null
  return new Set([...(known.size < MAX_UNDECLARED ? known : []), ...names])
}
