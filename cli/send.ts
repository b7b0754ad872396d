import { readFileSync } from 'node:fs'
import { cleanLine, parseJson, trimEnd } from '../port/text.ts'
import { isObject, type Json, type JsonObject } from '../port/types.ts'
import { readConfig } from '../relay/config/config.ts'
import { proxyProblems } from '../relay/config/outgoing.ts'
import { readSecrets } from '../relay/config/values.ts'
import { Problem } from '../relay/http/problem.ts'
import { noRelay, relayAddress } from './admin-client.ts'
import type { Env } from './command.ts'
import { choice, defineCommand, flag, JSON_OPTION, readInput, text, texts, UsageError } from './command.ts'
import { OPERATIONS } from './generate.ts'
import { type DryRun, dryRun, makeBody, signWebhook } from './send-request.ts'

export const send = defineCommand({
  name: 'send',
  summary: 'Sends a signed webhook to a relay, as Port does.',
  positionals: ['[FILE]'],
  options: {
    action: text('NAME', 'the identifier of the Port action, instead of FILE'),
    input: texts('NAME=TEXT', 'an input; NAME:=JSON for other types'),
    blueprint: text('NAME', "the action's blueprint"),
    operation: choice('NAME', OPERATIONS, 'the operation; with --entity, DAY-2 by default'),
    entity: text('ENTITY', 'the identifier of an entity, or the whole entity as JSON'),
    'run-id': text(
      'ID',
      'the ID of the Port run; with FILE, a header contains the ID; without an ID, Port gets no updates',
    ),
    url: text(
      'URL',
      "the relay's address, or a webhook URL with its target; default: RELAY_PUBLIC_URL or this machine",
    ),
    wait: flag('wait until GitHub has accepted the dispatch'),
    'secret-file': text('PATH', 'a file with the signing secret; PORT_CLIENT_SECRET by default'),
    'dry-run': flag('send nothing; print target, inputs and the request to GitHub'),
    json: JSON_OPTION,
  },
  details: `FILE contains the body, which is signed byte for byte; - is stdin. --dry-run reads the configuration of the
relay from the environment.`,
  async run({ env, values, positionals: [file], print, note }) {
    if ((file === undefined) === (values.action === undefined))
      throw new UsageError('send needs either FILE or --action NAME.')
    if (file !== undefined) {
      const extra = (['input', 'blueprint', 'operation', 'entity'] as const).find(name => values[name])
      if (extra)
        throw new UsageError(`--${extra} requires --action, because FILE already contains the whole body.`)
    }
    const now = Date.now()
    const runId = values['run-id'] ?? null
    const url = webhookUrl(values.url ?? relayAddress(env), values.wait)
    const body = file === undefined ? invoked() : readInput(file)
    const runIdHeader = file === undefined ? null : runId

    if (values['dry-run']) {
      const config = readConfig(env)
      try {
        const shown = dryRun(config, { body, url, runIdHeader, now })
        print(values.json ? JSON.stringify(shown) : describe(shown))
        return 0
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        const { status, message: detail } = error
        if (values.json) print(JSON.stringify({ status, response: { detail } }))
        else note(cleanLine(`The relay would refuse the webhook with ${status}: ${detail}`))
        return 1
      }
    }
    const headers = signWebhook(body, readSecret(env, values['secret-file']), now)
    const { status, response } = await post(url, body, {
      ...headers,
      ...(runIdHeader && { run_id: runIdHeader }),
    })
    const accepted = status < 300 && response.delivery !== undefined
    if (values.json) print(JSON.stringify({ status, response }))
    else if (accepted) print(cleanLine(acceptance(response)))
    else
      note(
        cleanLine(
          `Refused with ${status}: ${response.detail ?? "the server at --url isn't a relay: check --url."}`,
        ),
      )
    return accepted ? 0 : 1

    function invoked(): Uint8Array {
      const { action = '', input = [], blueprint = null, operation = null, entity = null } = values
      const inputs = Object.fromEntries(input.map(readPair))
      const body = makeBody(action, inputs, { blueprint, operation, entity }, runId, now)
      return Buffer.from(JSON.stringify(body))
    }
  },
})

/** @param address the relay's URL, or the webhook URL of a Port action */
function webhookUrl(address: string, wait = false): URL {
  const url = /^https?:\/\//i.test(address) ? URL.parse(address) : null
  if (!url) throw new UsageError(`--url ${JSON.stringify(address)} must be an http(s) URL.`)
  const base = trimEnd(url.pathname, '/')
  url.pathname = /\/webhook(\/|$)/.test(base) ? base : `${base}/webhook`
  if (wait) url.searchParams.set('wait', 'dispatch')
  return url
}

function readSecret(env: Env, file: string | undefined): string {
  const problems = proxyProblems(env)
  const given: Env = file ? { PORT_CLIENT_SECRET_FILE: file } : env
  const { values } = readSecrets(given, ['PORT_CLIENT_SECRET'], path => readFileSync(path, 'utf8'), problems)
  const [problem] = problems
  if (problem)
    throw new Error(`${file ? problem.replace('PORT_CLIENT_SECRET_FILE', '--secret-file') : problem}.`)
  if (values.PORT_CLIENT_SECRET) return values.PORT_CLIENT_SECRET
  throw new Error(
    'PORT_CLIENT_SECRET (or --secret-file) is required: set it to the client secret that the relay uses.',
  )
}

async function post(url: URL, body: Uint8Array, headers: Record<string, string>) {
  const init = { method: 'POST', body: body as Uint8Array<ArrayBuffer>, headers }
  const response = await fetch(url, { ...init, redirect: 'manual' }).catch(cause => {
    throw noRelay(url.origin, cause)
  })
  const json: unknown = await response.json().catch(() => null)
  return { status: response.status, response: isObject(json) ? json : ({} as JsonObject) }
}

function acceptance({ delivery, repository, event_type, workflow, state, duplicate }: JsonObject): string {
  const target = `${repository}, ${workflow ? `workflow ${workflow}` : `event type ${event_type}`}`
  const known = duplicate ? " The webhook was accepted before, and isn't dispatched again." : ''
  return `Accepted as delivery ${delivery} for ${target}; it is ${state}.${known}`
}

function describe({ target, inputs, request }: DryRun): string {
  const listed = Object.entries(inputs).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`)
  return [
    target.workflow === null
      ? `Target: ${target.repository}, event type ${target.eventType}`
      : `Target: ${target.repository}, workflow ${target.workflow} on ${target.ref ?? 'the default branch'}`,
    ...(listed.length > 0 ? ['Inputs:', ...listed] : ['The webhook has no inputs.']),
    'Request to GitHub:',
    `  ${request.method} ${request.url}`,
    ...JSON.stringify(request.body, null, 2)
      .split('\n')
      .map(line => `  ${line}`),
  ]
    .map(cleanLine)
    .join('\n')
}

function readPair(text: string): [string, Json] {
  const [, name, typed, value] = /^([^=]+?)(:?)=(.*)$/s.exec(text) ?? []
  if (!name || value === undefined)
    throw new UsageError(`--input ${JSON.stringify(text)} must be NAME=TEXT or NAME:=JSON.`)
  if (!typed) return [name, value]
  const json = parseJson(value)
  if (json !== undefined) return [name, json]
  throw new UsageError(
    `--input ${name}:=… must be JSON, such as 2, true or '["a"]'; for text write ${name}=TEXT.`,
  )
}
