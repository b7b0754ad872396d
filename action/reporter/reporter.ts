import { PortError, type PortRun, type Token } from '../../port/client/client.ts'
import { describeNetworkError, wasNotSent } from '../../port/client/errors.ts'
import { mergeOutputs } from '../../port/client/messages.ts'
import { backOff, LONGEST_WAIT_MS, readRetryAt } from '../../port/retry.ts'
import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject, type LogLine, type RunUpdate } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'
import { help, type Runner, UntrustedCertificate } from '../runner/runner.ts'
import { type Redact, redactJson } from '../secrets/redact.ts'

/** Reports one run to Port, with retries. Every method throws PortError after its last attempt. */
export interface Reporter extends Pick<PortRun, 'read' | 'update'> {
  /** Sends lines in order, without duplicates. An error's `linesSent` includes lines that may have arrived. */
  log(lines: readonly LogLine[]): Promise<void>
  /** Starts preparing the first report. If this fails, sending that report throws the error. */
  prepare(): Promise<void>
  /** Creates or updates an entity, and links it to an action run (not to a node run). */
  upsertEntity(blueprint: string, entity: JsonObject): Promise<void>
  /** Deletes an entity, but not the entities that depend on it. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
  /** Whether entities go to the relay, which sends them to Port later. */
  isDeferred: boolean
  /** The Port token, for this job's other processes. Null if there is no token yet, or if the job uses the relay. */
  token(): Token | null
  /** Whether the time for everything except the final status is used up. */
  late(): boolean
}

/** The maximum number of links that Port accepts for a node run. */
const MOST_OF_NODE_RUN = 3

/** The links of a Port run: the workflow run's link, followed by the links that steps wrote to `$PORT_RUN`. */
export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}

/**
 * Returns the steps' outputs and, by job id, the earlier jobs' outputs. All are redacted. Omits outputs that don't fit,
 * and outputs whose names contain a secret.
 */
export function allOutputs(
  own: JsonObject,
  needs: JsonObject,
  redact: Redact,
): ReturnType<typeof mergeOutputs> {
  // Redacted first, because `***` can be longer than a secret.
  const mine = mergeOutputs({}, redactOutputs(own, redact))
  const others = Object.entries(redactOutputs(needs, redact)).filter(([job]) => !Object.hasOwn(own, job))
  const all = mergeOutputs(mine.outputs, Object.fromEntries(others))
  return { outputs: all.outputs, left: [...mine.left, ...all.left] }
}

const redactOutputs = (outputs: JsonObject, redact: Redact): JsonObject =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, value]) =>
      redact(name) === name ? [[name, redactJson(value, redact)]] : [],
    ),
  )

/** Outputs for an update. Only node runs have outputs, and Port replaces them with each update. */
export const outputOf = (kind: 'action_run' | 'node_run', outputs: JsonObject): Pick<RunUpdate, 'output'> =>
  kind === 'node_run' && Object.keys(outputs).length > 0 ? { output: outputs } : {}

/**
 * Whether the server may have processed the request, because the response was lost or is inconclusive. After a 503 or
 * one of these 4xx statuses, the request wasn't processed. Without a token, the request wasn't sent.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-503-service-unavailable
 */
export function isUncertain(error: unknown): error is PortError {
  if (!(error instanceof PortError) || error.kind !== 'unreachable' || error.ofToken) return false
  if (error.status !== null) return ![409, 425, 429, 503].includes(error.status)
  return !wasNotSent(error)
}

const TRIES = 5

/** The additional time, in ms, that attempts to send the final status can use. */
export const FINAL_EXTRA_MS = 30_000

/** Retries an operation that failed temporarily. Throws the last error. */
export type Retry = <T>(
  operation: () => Promise<T>,
  options?: {
    /** Additional time, in ms, for this call's retries. */
    extraMs?: number
    /** Whether to retry after this error. */
    again?: (error: PortError) => boolean
  },
) => Promise<T>

/**
 * Retries temporary failures. Makes five attempts, about 1, 2, 4, and 8 s apart, or later if Port requests a later time. All
 * calls share one time budget, because a canceled job has only 4 min 45 s left. After one call has given up, later
 * calls wait only if Port requests a time.
 *
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRetry(options: {
  budgetMs: number
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}): Retry {
  const { clock, sleep } = options
  const deadline = clock() + options.budgetMs
  let gaveUp = false

  return async (operation, { extraMs = 0, again = () => true } = {}) => {
    for (let tried = 1; ; tried++) {
      try {
        return await operation()
      } catch (error) {
        if (!(error instanceof PortError) || !error.temporary || !again(error)) throw error
        if (error.cause instanceof UntrustedCertificate) throw error
        const named = (error.retryAt ?? 0) - clock()
        const wait = named > 0 ? named : backOff(tried - 1, 1_000, 8_000)
        const inVain = named <= 0 && (gaveUp || tried >= TRIES)
        if (inVain || clock() + wait > deadline + extraMs) {
          gaveUp = true
          throw error
        }
        await sleep(wait)
      }
    }
  }
}

export interface RelayResponse {
  status: number
  /** The response body; empty if it isn't an object. */
  body: JsonObject
  /** Whether this is an error in the relay's own format, rather than a page from a proxy or gateway. */
  isProblem: boolean
  /** The origin that a redirect points to; null if there is no redirect. */
  movedTo: string | null
  /** When the relay accepts the next request, in ms since the epoch. */
  retryAt: number | null
}

const TIMEOUT_MS = 10_000

/**
 * Sends one request with a bearer token.
 *
 * @param who the server's name in error messages
 * @throws PortError if there was no response
 */
export async function requestJson(
  who: string,
  request: { method: string; url: string; token: string; body?: JsonObject },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
): Promise<RelayResponse> {
  const { method, url, token, body: given } = request
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        'user-agent': 'port-webhook-action',
        ...(given && { 'content-type': 'application/json' }),
      },
      ...(given && { body: JSON.stringify(given) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const { status, headers } = response
    const json = parseJson(await response.text())
    const body = isObject(json) ? json : {}
    const type = headers.get('content-type') ?? ''
    const location = headers.get('location') ?? ''
    return {
      status,
      body,
      isProblem: /^application\/problem\+json\b/i.test(type) && body.status === status,
      movedTo:
        status >= 300 && status < 400 && URL.canParse(location, url) ? new URL(location, url).origin : null,
      retryAt: readRetryAt(headers, clock(), LONGEST_WAIT_MS),
    }
  } catch (cause) {
    throw new PortError(
      'unreachable',
      `${who} did not respond at ${new URL(url).host}: ${describeNetworkError(cause)}. Check whether this machine can reach it (proxy, firewall).`,
      { cause },
    )
  }
}

/**
 * The run's report quota is used up, so the relay accepts no more lines. An update with a conclusion is always
 * accepted.
 */
export class QuotaError extends PortError {
  constructor(message: string) {
    super('refused', message, { status: 413 })
  }
}

/** Returns the body, or throws the error that the relay's response describes. */
export function readRelayResponse(what: string, response: RelayResponse): JsonObject {
  const { status, body, isProblem, retryAt } = response
  if (status < 300 || (status === 409 && body.duplicate === true)) return body
  const detail = typeof body.detail === 'string' ? ` (${body.detail.slice(0, 600)})` : ''
  const head = `the relay responded with ${status} to ${what}${detail}`
  if (status >= 500 || status === 429 || status === 408) {
    throw new PortError('unreachable', head, { status, retryAt })
  }
  // A 413 is reliable even if a gateway sends it, because the body is too large for the gateway.
  if (!isProblem && status !== 413) throw notTheRelay(what, response)
  if (isProblem && status === 413) throw new QuotaError(head)
  if (status === 410) throw new PortError('finished', head, { status })
  throw new PortError(status === 401 || status === 403 ? 'credentials' : 'refused', head, { status })
}

/** Describes a response that a proxy or gateway sent instead of the relay. The report may or may not have arrived. */
export function notTheRelay(what: string, { status, movedTo, retryAt }: RelayResponse): PortError {
  const sentence =
    movedTo === null
      ? 'check RELAY_PUBLIC_URL of the relay, and the proxy in front of the relay.'
      : `it redirects to ${movedTo}. RELAY_PUBLIC_URL must be the address of the relay itself.`
  const head = `the response ${status} to ${what} didn't come from the relay`
  return new PortError('unreachable', `${head}: ${sentence}`, { status, retryAt })
}

/**
 * - `later`: a later report of the same run may succeed
 * - `doubtful`: no report will succeed, unless a gateway rather than Port rejected the credentials
 * - `lost`: no report will succeed
 * - `settled`: the run has finished, or accepts no reports
 */
export type Outlook = 'later' | 'doubtful' | 'lost' | 'settled'

/**
 * Prints why a report failed. Prints a notice if a user has finished the run, or if the run accepts no reports, because
 * that isn't this job's error. Otherwise prints a warning, or an error with `fail-on-report-error`.
 *
 * @param options.again a message that names who retries, if a retry may help
 */
export function reportFailure(
  error: unknown,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  options: { failOnReportError: boolean; again?: string },
): Outlook {
  const kind = error instanceof PortError ? error.kind : null
  const message = error instanceof Error ? error.message : String(error)
  if (kind === 'finished' || kind === 'synchronized') {
    core.notice(`No further updates are sent to Port: ${message}`)
    return 'settled'
  }
  const outlook = kind === 'credentials' ? 'doubtful' : kind === 'unknown_run' ? 'lost' : 'later'
  const again = outlook === 'later' && options.again ? ` ${options.again}` : ''
  const more = help(env, kind === 'credentials' ? 'credentials' : 'port')
  const sentence = `Reporting to Port failed: ${message}${again}${more}`
  if (options.failOnReportError) core.setFailed(sentence)
  else core.warning(sentence)
  return outlook
}

/**
 * Prints why this job isn't reported to Port. Fails the job before the author's steps run, unless `on-duplicate` is
 * `continue` and the payload is complete.
 *
 * @param lacks what the relay returns only to the first workflow run
 */
export function reportDuplicate(
  message: string,
  { onDuplicate }: Pick<Inputs, 'onDuplicate'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  lacks: { encrypted: string[]; truncated: string[] } = { encrypted: [], truncated: [] },
): void {
  const more = help(env, 'duplicates')
  if (onDuplicate === 'fail') {
    core.setFailed(`${message} This job stops, so that nothing is done twice (on-duplicate: fail).${more}`)
  } else if (lacks.truncated.length > 0) {
    core.setFailed(
      `${message} This job cannot continue (on-duplicate: continue): ${quote(lacks.truncated)} did not fit into the payload, and ` +
        `the relay returns the rest only to the other workflow run.${more}`,
    )
  } else {
    const stays =
      lacks.encrypted.length > 0
        ? ` The relay decrypts secret inputs only for the other workflow run, so these remain encrypted: ${quote(lacks.encrypted)}.`
        : ''
    core.warning(
      `${message} This job continues, but is not reported to Port (on-duplicate: continue).${stays}${more}`,
    )
  }
}

const quote = (names: string[]) => names.map(name => `"${name}"`).join(', ')

/** Values of the input `report`. Each value reports more of the result than the value before it. */
const STRENGTH = ['updates', 'workflow', 'auto', 'job']

/**
 * Prints that an earlier step of the job reports to Port, and which of this step's inputs are ignored.
 *
 * @param earlier the input `report` of the earlier step
 */
export function reportSecondUse(
  earlier: string,
  { report, needs, summary }: Pick<Inputs, 'report' | 'needs' | 'summary'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
): void {
  const unused = [
    STRENGTH.indexOf(report) > STRENGTH.indexOf(earlier) && `report: ${report}`,
    Object.keys(needs).length > 0 && 'needs',
    summary !== '' && 'summary',
  ].filter(name => name !== false)
  const message = 'An earlier step of this job reports this run to Port.'
  if (unused.length === 0) core.info(message)
  else
    core.warning(
      `${message} These inputs of this step are ignored: ${unused.join(', ')}. Set them on the earlier step.${help(env, 'inputs')}`,
    )
}
