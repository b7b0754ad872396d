import * as http from 'node:http'
import * as https from 'node:https'
import { dirname, isAbsolute, relative } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { HttpClient } from '@actions/http-client'
import type { Fetch, Token } from '../../port/client/client.ts'
import { describeNetworkError, errorChain } from '../../port/client/errors.ts'
import type { ClientPayload } from '../../port/payload.ts'
import type { JobFiles } from './files.ts'

/** The functions of `@actions/core` that the action uses. */
type Core = Pick<
  typeof import('@actions/core'),
  | 'getInput'
  | 'getState'
  | 'saveState'
  | 'setOutput'
  | 'setSecret'
  | 'setFailed'
  | 'exportVariable'
  | 'info'
  | 'notice'
  | 'warning'
>

/** The environment that the action needs. Tests and entry points provide it. */
export interface Runner {
  core: Core
  env: Record<string, string | undefined>
  fetch: import('../../port/client/client.ts').Fetch
  /** ms since the epoch */
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}

/** This workflow run and job, read from the runner's environment variables. */
export interface Workflow {
  /** `owner/name` */
  repository: string
  runId: string
  attempt: string
  job: string
  event: string
  eventPath: string
  /** The link to this attempt. */
  url: string
  apiUrl: string
  runnerName: string
  tempFolder: string
  /** The `uses` value of this action's step: `owner/name@ref`, or `./path` within the repository. */
  action: string
}

/**
 * @param script path of the running entry point: `action/dist/main/index.js`
 * @see https://docs.github.com/actions/reference/workflows-and-actions/variables
 */
export function readWorkflow(env: Runner['env'], script = process.argv[1]!): Workflow {
  const get = (name: string) => {
    const value = env[name]
    if (!value)
      throw new Error(`${name} is not set: this program runs only as an action in a GitHub workflow.`)
    return value
  }
  const repository = get('GITHUB_REPOSITORY')
  const runId = get('GITHUB_RUN_ID')
  const attempt = get('GITHUB_RUN_ATTEMPT')
  return {
    repository,
    runId,
    attempt,
    job: env.GITHUB_JOB ?? '',
    event: get('GITHUB_EVENT_NAME'),
    eventPath: get('GITHUB_EVENT_PATH'),
    url: `${get('GITHUB_SERVER_URL')}/${repository}/actions/runs/${runId}/attempts/${attempt}`,
    apiUrl: get('GITHUB_API_URL'),
    runnerName: env.RUNNER_NAME ?? '',
    tempFolder: get('RUNNER_TEMP'),
    action: env.GITHUB_ACTION_REPOSITORY
      ? `${env.GITHUB_ACTION_REPOSITORY}@${env.GITHUB_ACTION_REF ?? ''}`
      : pathWithin(env.GITHUB_WORKSPACE, dirname(dirname(dirname(dirname(script))))),
  }
}

/** `./` if the folder is outside the workspace, because the runner doesn't provide the path of a local action. */
function pathWithin(workspace: string | undefined, folder: string): string {
  const path = workspace ? relative(workspace, folder).replaceAll('\\', '/') : ''
  return path.startsWith('..') || isAbsolute(path) ? './' : `./${path}`
}

/**
 * Returns the time in whole ms since the epoch: the process's start time plus the elapsed time. So changes of the
 * system clock, for example after a machine wakes up, don't affect it.
 */
export const clock = (): number => Math.round(performance.timeOrigin + performance.now())

/** The headings in docs/errors.md. */
export type Topic =
  | 'inputs'
  | 'runner'
  | 'credentials'
  | 'payload'
  | 'large-payloads'
  | 'secret-inputs'
  | 'outputs'
  | 'duplicates'
  | 'matrix'
  | 'first-step'
  | 'steps'
  | 'port-log'
  | 'port-run'
  | 'entities'
  | 'port'

const PAGE = 'docs/errors.md'

/**
 * Returns the link at the end of a message for users. The link points to the documentation of the release in use. If
 * `uses` is a path, the documentation is in the same repository. On Enterprise Server, the runner doesn't show whether
 * the action came from that server or from github.com (GitHub Connect), because a copy made by actions-sync has the
 * same name.
 */
export function help(env: Runner['env'], topic: Topic): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `${PAGE}#${topic}`
  return ` See ${repository ? `https://github.com/${repository}/blob/${ref || 'main'}/${page}` : page}`
}

/** Whether a message already ends with a link. */
export const isExplained = (message: string): boolean => message.includes(`${PAGE}#`)

/** An error in a file that steps write to. */
export interface Mistake {
  /** The line number; null if the error concerns the whole file. */
  line: number | null
  /** The message, without its full stop. */
  sentence: string
  /** The invalid value. */
  value?: string
}

const LONGEST = 60

/**
 * `Line 3 of $PORT_RUN: link must be a URL: "pull/7".`
 *
 * @param redact applied before the value is cut, because a partial secret can't be recognized
 */
export function describeMistake(
  { line, sentence, value }: Mistake,
  file: string,
  redact: (text: string) => string,
): string {
  const place = line === null ? file : `Line ${line} of ${file}`
  const end = value === undefined ? '' : `: ${JSON.stringify(shorten(redact(value)))}`
  return `${place}: ${redact(sentence)}${end}.`
}

const shorten = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST).toWellFormed()}…` : text)

/** The connection to Port through the relay, for a job without Port credentials. */
export interface RelayAccess {
  /** The URL for reports, and the exact audience of the OIDC token. */
  url: string
  delivery: string
  /** Whether to request the items that didn't fit the payload from the relay. */
  complete: boolean
  /** Whether only the relay can send the final status to Port. */
  finishes: boolean
  /** The runner's endpoint for OIDC tokens; null if there is none, or if no OIDC token is needed anymore. */
  idToken: { url: string; requestToken: string } | null
  /** The token that the relay issued to this attempt of this workflow run. */
  token: string | null
}

/** The data that main saves for post. */
export interface State {
  runId: string
  kind: 'action_run' | 'node_run'
  /** ms since the epoch */
  startedAt: number
  files: JobFiles
  /** What post needs of the payload, with encrypted secret inputs. A step may delete the event's file. */
  payload: ClientPayload
  /** Whether Port's response showed that this workflow run reports to the Port run. */
  checked: boolean
  /** Whether Port has the link to this workflow run. */
  linked: boolean
  /** The outlook of the failure after which main stopped reporting. If `doubtful`, post queries Port once more. */
  outlook?: 'doubtful' | 'lost'
  /** The names of the secret inputs that main decrypted for the job. */
  decrypted?: string[]
  /** The errors that made main fail the job. */
  problems?: string[]
  /** Whether Port's log contains these errors. */
  explained?: boolean
  /** The connection if reports go through the relay. */
  relay?: RelayAccess
  /** The Port token if reports go to Port directly. */
  portToken?: Token | null
}

const NAME = 'report'

/** Replaces any state that was saved before. @param state null if post has nothing to do */
export function saveState(core: Runner['core'], state: State | null): void {
  core.saveState(NAME, JSON.stringify(state))
}

/** Returns null if post has nothing to do. */
export function loadState(core: Runner['core']): State | null {
  const text = core.getState(NAME)
  return text === '' ? null : (JSON.parse(text) as State | null)
}

/** The headers of a response. If a header occurs twice, the first value counts. */
class ResponseHeaders {
  readonly #headers: http.IncomingHttpHeaders
  constructor(headers: http.IncomingHttpHeaders) {
    this.#headers = headers
  }
  get(name: string): string | null {
    return [this.#headers[name.toLowerCase()]].flat()[0] ?? null
  }
  *[Symbol.iterator](): Generator<[string, string]> {
    for (const name of Object.keys(this.#headers)) yield [name, this.get(name)!]
  }
}

/** Thrown if the server's certificate isn't signed by an authority that this machine trusts. A retry can't help. */
export class UntrustedCertificate extends Error {}

/** @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const UNTRUSTED = [
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_UNTRUSTED',
]

function untrusted(cause: NodeJS.ErrnoException): UntrustedCertificate | null {
  if (!UNTRUSTED.includes(cause.code ?? '')) return null
  const message =
    `its certificate is not trusted (${cause.code}); if the server or a proxy uses a private CA, set ` +
    "NODE_EXTRA_CA_CERTS in the environment of the runner to the path of the CA's certificate"
  return new UntrustedCertificate(message)
}

/**
 * A small `fetch` that keeps connections open and uses a self-hosted runner's proxy (`https_proxy`, `no_proxy`).
 * The global `fetch` supports proxies only with a flag. `HttpClient` has no deadline, and waits forever if a response
 * is cut. Redirects aren't followed.
 */
export function createFetch(): Fetch {
  // One client per scheme, because a client uses its first agent for both schemes.
  const open = () => new HttpClient(undefined, undefined, { keepAlive: true })
  const plain = { client: open(), request: http.request }
  const secure = { client: open(), request: https.request }
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const { client, request } = url.startsWith('https:') ? secure : plain
      const sent = request(url, { method, headers, signal, agent: client.getAgent(url) }, response => {
        const { statusCode: status, headers } = response
        readText(response).then(
          body => resolve({ status: status!, headers: new ResponseHeaders(headers), text: async () => body }),
          reject,
        )
      })
      sent.on('error', error => reject(untrusted(error) ?? error))
      sent.end(body)
    })
}

/** Describes a network failure briefly, and names the setting to change if a certificate isn't trusted. */
export const whyNoResponse = (error: unknown): string =>
  errorChain(error).find(each => each instanceof UntrustedCertificate)?.message ?? describeNetworkError(error)
