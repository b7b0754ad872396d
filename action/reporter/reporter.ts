import { PortError, type PortRun, type Token } from '../../port/client/client.ts'
import { describeNetworkError, wasNotSent } from '../../port/client/errors.ts'
import { mergeOutputs } from '../../port/client/run-bodies.ts'
import { backOff, LONGEST_WAIT_MS, readRetryAt } from '../../port/retry.ts'
import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject, type LogLine, type RunUpdate } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'
import { help, quote, type Runner, UntrustedCertificate } from '../runner/runner.ts'
import { type Redact, redactJson } from '../secrets/redact.ts'

/** Every method throws PortError if its last attempt fails. */
export interface Reporter extends Pick<PortRun, 'read' | 'update'> {
  /** Sends each line at most once, in order. The `linesSent` of an error includes lines that may have arrived. */
  log(lines: readonly LogLine[]): Promise<void>
  prepare(): Promise<void>
  /** Links the entity to the run if the run is an action run. */
  upsertEntity(blueprint: string, entity: JsonObject): Promise<void>
  deleteEntity(blueprint: string, identifier: string): Promise<void>
  /** Whether entities go to the relay, which sends them to Port later. */
  isDeferred: boolean
  /** Returns the report token for the job's other processes, or null. */
  token(): Token | null
  /** Whether the time is up. If so, only the final status can still be sent. */
  late(): boolean
}

/** Port's maximum number of links of a node run. */
const MOST_OF_NODE_RUN = 3

export function linksOf(workflowRun: string, own: string[], kind: 'action_run' | 'node_run'): string[] {
  const links = [workflowRun, ...own.filter(link => link !== workflowRun)]
  return kind === 'node_run' ? links.slice(0, MOST_OF_NODE_RUN) : links
}

/** Returns the redacted outputs, with those of earlier jobs grouped by job ID. Omits outputs that don't fit, or have a secret in their name. */
export function allOutputs(own: JsonObject, needs: JsonObject, redact: Redact) {
  // Outputs are redacted before their size is checked, because `***` can be longer than a secret.
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

/** Returns all outputs of a node run, because an update replaces the earlier outputs. Action runs have no outputs. */
export const outputOf = (kind: 'action_run' | 'node_run', outputs: JsonObject): Pick<RunUpdate, 'output'> =>
  kind === 'node_run' && Object.keys(outputs).length > 0 ? { output: outputs } : {}

/**
 * Whether the server may have processed the request. False if the token request failed, or after a 409, 425, 429, or
 * 503.
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-503-service-unavailable
 */
export function isUncertain(error: unknown): error is PortError {
  if (!(error instanceof PortError) || error.kind !== 'unreachable' || error.ofToken) return false
  if (error.status !== null) return ![409, 425, 429, 503].includes(error.status)
  return !wasNotSent(error)
}

const TRIES = 5

export const FINAL_EXTRA_MS = 30_000

/**
 * Returns a function that makes up to five attempts. The pauses are about 1, 2, 4, and 8 s, or longer if Port's
 * response says so. All calls share one time budget, because GitHub stops a canceled job after 4 min 45 s. After a call
 * whose attempts have all failed, later calls retry only if Port says how long to wait (`Retry-After`).
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRetry(options: Pick<Runner, 'clock' | 'sleep'> & { budgetMs: number }) {
  const { clock, sleep } = options
  const deadline = clock() + options.budgetMs
  let gaveUp = false

  /** @param extraMs additional time for this call's retries */
  return async <T>(
    operation: () => Promise<T>,
    { extraMs = 0, again = (_: PortError): boolean => true } = {},
  ): Promise<T> => {
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

type RelayResponse = Awaited<ReturnType<typeof requestJson>>

const TIMEOUT_MS = 10_000

/** @param who the server's name in error messages @throws PortError without a response */
export async function requestJson(
  who: string,
  request: { method: string; url: string; token: string; body?: JsonObject },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
) {
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
      /** Whether the response is an error in the relay's format. */
      isProblem: /^application\/problem\+json\b/i.test(type) && body.status === status,
      movedTo:
        status >= 300 && status < 400 && URL.canParse(location, url) ? new URL(location, url).origin : null,
      retryAt: readRetryAt(headers, clock(), LONGEST_WAIT_MS),
    }
  } catch (cause) {
    throw new PortError(
      'unreachable',
      `${who} didn't respond at ${new URL(url).host}: ${describeNetworkError(cause)}. Check whether this machine can reach it (proxy, firewall).`,
      { cause },
    )
  }
}

/** The workflow run has used up its report quota. The relay still accepts updates with a conclusion. */
export class QuotaError extends PortError {
  constructor(message: string) {
    super('refused', message, { status: 413 })
  }
}

export function readRelayResponse(what: string, response: RelayResponse): JsonObject {
  const { status, body, isProblem, retryAt } = response
  if (status < 300 || (status === 409 && body.duplicate === true)) return body
  const detail = typeof body.detail === 'string' ? ` (${body.detail.slice(0, 600)})` : ''
  const head = `the relay responded with ${status} to ${what}${detail}`
  if (status >= 500 || status === 429 || status === 408) {
    throw new PortError('unreachable', head, { status, retryAt })
  }
  // A gateway's 413 certainly means that the body is too large.
  if (!isProblem && status !== 413) throw notTheRelay(what, response)
  if (isProblem && status === 413) throw new QuotaError(head)
  if (status === 410) throw new PortError('finished', head, { status })
  throw new PortError(status === 401 || status === 403 ? 'credentials' : 'refused', head, { status })
}

export function notTheRelay(what: string, { status, movedTo, retryAt }: RelayResponse): PortError {
  const sentence =
    movedTo === null
      ? 'check RELAY_PUBLIC_URL of the relay, and the proxy in front of the relay.'
      : `it redirects to ${movedTo}. RELAY_PUBLIC_URL must be the address of the relay itself.`
  const head = `the response ${status} to ${what} didn't come from the relay`
  return new PortError('unreachable', `${head}: ${sentence}`, { status, retryAt })
}

/**
 * - `later`: a later report can succeed
 * - `doubtful`: a later report can succeed only if a gateway, not Port, rejected the credentials
 * - `lost`: no later report can succeed
 * - `settled`: the Port run has finished, or accepts no reports
 */
export type Outlook = 'later' | 'doubtful' | 'lost' | 'settled'

/** Prints why a report failed. `again`: a sentence that says who retries; printed if a retry may help. */
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

/** Fails the job, or prints a warning if `on-duplicate` is `continue` and the payload is complete. */
export function reportDuplicate(
  message: string,
  { onDuplicate }: Pick<Inputs, 'onDuplicate'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  lacks: { encrypted: string[]; truncated: string[] } = { encrypted: [], truncated: [] },
): void {
  const more = help(env, 'duplicates')
  const { encrypted, truncated } = lacks
  if (onDuplicate === 'fail') {
    core.setFailed(`${message} This job stops, so that nothing is done twice (on-duplicate: fail).${more}`)
  } else if (truncated.length > 0) {
    core.setFailed(
      `${message} This job can't continue (on-duplicate: continue): ${quote(truncated)} didn't fit into the payload, and ` +
        `the relay returns the missing parts only to the other workflow run.${more}`,
    )
  } else {
    const head = `${message} This job continues, but isn't reported to Port (on-duplicate: continue).`
    const stays = ` The relay decrypts secret inputs only for the other workflow run, so these inputs stay encrypted: ${quote(encrypted)}.`
    core.warning(head + (encrypted.length > 0 ? stays : '') + more)
  }
}

/** Values of the input `report`. If two jobs differ, the later value in this list applies. */
const STRENGTH = ['updates', 'workflow', 'auto', 'job']

/** @param earlier the input `report` of the earlier step, which is the one that reports to Port */
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
