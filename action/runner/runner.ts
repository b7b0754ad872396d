import * as http from 'node:http'
import * as https from 'node:https'
import { dirname, isAbsolute, relative } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { HttpClient } from '@actions/http-client'
import type { Fetch, Token } from '../../port/client/client.ts'
import type { ClientPayload } from '../../port/payload.ts'
import type { JobFiles } from './files.ts'

export interface Runner {
  core: typeof import('@actions/core')
  env: Record<string, string | undefined>
  fetch: Fetch
  /** The current time in milliseconds since 1970. */
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}

export type Workflow = ReturnType<typeof readWorkflow>

/** @see https://docs.github.com/actions/reference/workflows-and-actions/variables */
export function readWorkflow(env: Runner['env'], script = process.argv[1]!) {
  const get = (name: string) => {
    const value = env[name]
    if (!value)
      throw new Error(`${name} isn't set: this program runs only as an action in a GitHub workflow.`)
    return value
  }
  const repository = get('GITHUB_REPOSITORY')
  const runId = get('GITHUB_RUN_ID')
  const attempt = get('GITHUB_RUN_ATTEMPT')
  return {
    ...{ repository, runId, attempt },
    job: env.GITHUB_JOB ?? '',
    event: get('GITHUB_EVENT_NAME'),
    eventPath: get('GITHUB_EVENT_PATH'),
    url: `${get('GITHUB_SERVER_URL')}/${repository}/actions/runs/${runId}/attempts/${attempt}`,
    apiUrl: get('GITHUB_API_URL'),
    runnerName: env.RUNNER_NAME ?? '',
    tempFolder: get('RUNNER_TEMP'),
    /** `owner/name@ref`, or `./path` within the repository. */
    action: env.GITHUB_ACTION_REPOSITORY
      ? `${env.GITHUB_ACTION_REPOSITORY}@${env.GITHUB_ACTION_REF ?? ''}`
      : pathWithin(env.GITHUB_WORKSPACE, dirname(dirname(dirname(dirname(script))))),
  }
}

/** Returns the path of a local action as `./path`. The runner doesn't provide this path. */
function pathWithin(workspace: string | undefined, folder: string): string {
  const path = workspace ? relative(workspace, folder).replaceAll('\\', '/') : ''
  return path.startsWith('..') || isAbsolute(path) ? './' : `./${path}`
}

/** Returns milliseconds since 1970. Ignores changes of the system clock after the start. */
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
 * Returns a link to this release's documentation, to add to a message. On Enterprise Server, returns just the path,
 * because the action can come from that server or, with GitHub Connect, from github.com.
 */
export function help(env: Runner['env'], topic: Topic): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `${PAGE}#${topic}`
  return ` See ${repository ? `https://github.com/${repository}/blob/${ref || 'main'}/${page}` : page}`
}

export const isExplained = (message: string): boolean => message.includes(`${PAGE}#`)

export const quote = (names: string[]) => names.map(name => `"${name}"`).join(', ')

export interface Mistake {
  /** The number of the line; null if the error concerns the whole file. */
  line: number | null
  /** The sentence without its full stop. */
  sentence: string
  value?: string
}

/**
 * `Line 3 of $PORT_RUN: link must be a URL: "pull/7".`
 * @param redact applied before the value is cut, because `redact` can't recognize a cut secret
 */
export function describeMistake(
  { line, sentence, value }: Mistake,
  file: string,
  redact: (text: string) => string,
): string {
  const place = line === null ? file : `Line ${line} of ${file}`
  const end = value === undefined ? '' : `: ${JSON.stringify(shorten(redact(value), 60))}`
  return `${place}: ${redact(sentence)}${end}.`
}

export const shorten = (text: string, most: number) =>
  text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text

export interface RelayAccess {
  /** The URL for reports. The audience of the OIDC token is exactly this URL. */
  url: string
  delivery: string
  /** Whether the relay must return the items that didn't fit in the payload. */
  complete: boolean
  /** Whether only the relay can send the final status to Port. */
  finishes: boolean
  /** Whether the Port run fails if Port rejects an entity. */
  required: boolean
  /** How the job requests an OIDC token; null if the job can't request a token, or doesn't need one. */
  idToken: { url: string; requestToken: string } | null
  /** The token that the relay issued to this attempt of this workflow run. */
  token: string | null
}

/** The data that main saves for post. */
export interface State {
  runId: string
  kind: 'action_run' | 'node_run'
  /** The start of main in milliseconds since 1970. */
  startedAt: number
  files: JobFiles
  /** The payload, with encrypted secret inputs. A step may delete the event's file. */
  payload: ClientPayload
  /** Whether main has checked that this workflow run reports to the Port run. */
  checked: boolean
  linked: boolean
  /** Why main stopped reporting. Post retries if this is `doubtful`. */
  outlook?: 'doubtful' | 'lost'
  decrypted?: string[]
  problems?: string[]
  /** Whether Port's log contains the errors that made main fail. */
  explained?: boolean
  relay?: RelayAccess
  portToken?: Token | null
}

/** The data that main saves for post if the job can't report. */
export interface Unreported {
  unreported: true
  files: JobFiles
  /** Whether a reported conclusion would decide the result of the Port run. */
  decides: boolean
}

const NAME = 'report'

export function saveState(core: Runner['core'], state: State | Unreported | null): void {
  core.saveState(NAME, JSON.stringify(state))
}

export function loadState(core: Runner['core']): State | Unreported | null {
  const text = core.getState(NAME)
  return text === '' ? null : (JSON.parse(text) as State | Unreported | null)
}

/** Errors that a retry can't fix. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
export class UntrustedCertificate extends Error {}
const UNTRUSTED = /^(UNABLE_TO_(GET|VERIFY)_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|CERT_UNTRUSTED)/

function explain(error: NodeJS.ErrnoException): Error {
  if (!UNTRUSTED.test(error.code ?? '')) return error
  return new UntrustedCertificate(
    `its certificate isn't trusted (${error.code}); if the server or a proxy uses a private CA, set NODE_EXTRA_CA_CERTS in ` +
      "the environment of the runner to the path of the CA's certificate",
  )
}

/**
 * A small `fetch` that keeps connections open and uses a self-hosted runner's proxy (`https_proxy`, `no_proxy`). The
 * global `fetch` needs a flag to use a proxy, and requests of `HttpClient` would hang after a cut-off response.
 */
export function createFetch(): Fetch {
  // HTTP and HTTPS have separate clients, because a client keeps using its first agent.
  const open = () => new HttpClient(undefined, undefined, { keepAlive: true })
  const plain = { client: open(), request: http.request }
  const secure = { client: open(), request: https.request }
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const { client, request } = url.startsWith('https:') ? secure : plain
      const sent = request(url, { method, headers, signal, agent: client.getAgent(url) }, response => {
        const headers = new Headers()
        for (const [name, value] of Object.entries(response.headers)) headers.set(name, [value].flat()[0]!)
        readText(response).then(
          body => resolve({ status: response.statusCode!, headers, text: async () => body }),
          reject,
        )
      })
      sent.on('error', error => reject(explain(error)))
      sent.end(body)
    })
}
