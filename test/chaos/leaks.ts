import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import type { RunOptions, SimulatedRun } from '../../simulator/runner/types.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import { encryptFor, encryptWith } from '../action/encrypt.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { REPOSITORY, startSystem } from '../reports/open-stage.ts'
import { startRelay } from '../support/relay.ts'
import { type Webhook, webhookRequest } from '../support/requests.ts'

const { privateKeyPem, publicKeyPem } = vectors['client-side']
/** The relay's secrets, in addition to the client secret and the GitHub token. */
const ADMIN_TOKEN = 'known-admin-token-90d2e4'
const PREVIOUS_SECRET = 'known-previous-secret-77aa01'

/** Every plaintext repeats this text, so that the search also finds fragments. */
const MARK = 'cl34r-text'

/** Secret inputs of every kind: name → plaintext. */
export const CLEAR = {
  token: `ghs_${MARK}/of+token=&more`,
  key: `-----BEGIN PRIVATE KEY-----\n${MARK} first line of key\n  ${MARK}, indented\n-----END PRIVATE KEY-----\n`,
  login: JSON.stringify({
    user: `${MARK}-user`,
    more: { list: [`${MARK}-in-list`, 48151623], note: `${MARK} ä` },
  }),
  pin: '90210377',
  /** Exceeds GitHub's payload limit after encryption. */
  large: Array.from({ length: 12 }, (_, line) => `${line} ${MARK} `.repeat(330).trim()).join('\n'),
  /** Encrypted with a public key. */
  own: `opened with a private key, ${MARK}`,
  /** The workflow's author writes this input to an entity. */
  wish: 'put into an entity by wish',
}

/** Returns the forms in which a plaintext can leak: its lines and the values inside it, in the usual encodings. */
function formsOf(clear: string): string[] {
  const inside = clear.startsWith('{')
    ? [...clear.matchAll(/"([^"]{4,})"(?!:)|\b\d{4,}\b/g)].map(([all, text]) => text ?? all)
    : []
  const lines = [...clear.split('\n'), ...inside].map(line => line.trim()).filter(line => line.length >= 4)
  const json = (text: string) => JSON.stringify(text).slice(1, -1)
  const forms = (line: string) => [line, json(line), json(json(line)), encodeURIComponent(line)]
  return lines.flatMap(line => [...forms(line), ...base64Of(line)])
}

/** Returns the text's base64 at each alignment, without the characters that depend on surrounding text. */
function base64Of(text: string): string[] {
  return [0, 1, 2]
    .map(shift => {
      const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)])
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
      return whole.toString('base64').slice(shift === 0 ? 0 : 4)
    })
    .filter(form => form.length >= 8)
}

/** Returns `<name> in <place>` for each place that contains a text. */
function find(texts: Record<string, string>, places: Record<string, string>): string[] {
  const all = Object.entries(texts).map(([name, text]) => ({ name, forms: formsOf(text) }))
  return Object.entries(places).flatMap(([place, text]) => {
    const found = all.filter(({ forms }) => forms.some(form => text.includes(form)))
    return found.map(({ name }) => `${name} in ${place}`)
  })
}

/** Returns everything that GitHub shows about a run. */
function shownOf(run: SimulatedRun): string {
  const steps = run.jobs.flatMap(job => job.steps)
  return [
    ...steps.flatMap(({ name, log, summary }) => [name, log, summary]),
    ...steps.flatMap(({ annotations }) => annotations.map(({ message }) => message)),
    ...run.jobs.map(job => JSON.stringify(job.outputs)),
  ].join('\n')
}

/** The output before masking. */
const printedBy = (run: SimulatedRun): string =>
  run.jobs.flatMap(job => job.steps.map(({ stdout, stderr }) => stdout + stderr)).join('\n')

/** Returns every row of every table of a SQLite database, and the bytes of its files. */
function contentOf(path: string): Record<string, string> {
  const database = new DatabaseSync(path, { readOnly: true })
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  const rows = tables.map(({ name }) => [
    `table ${name}`,
    JSON.stringify(database.prepare(`SELECT * FROM ${name}`).all()),
  ])
  database.close()
  const files = readdirSync(dirname(path)).filter(name => name.startsWith(basename(path)))
  const read = (name: string) => readFileSync(join(dirname(path), name), 'utf8')
  return Object.fromEntries([...rows, ...files.map(name => [`file ${name}`, read(name)])])
}

export type Searched = Awaited<ReturnType<typeof openSearched>>

/** Starts a relay process that logs everything, and collects every place that must not contain a secret. */
export async function openSearched() {
  const env = { LOG_LEVEL: 'trace', RELAY_ADMIN_TOKEN: ADMIN_TOKEN, PORT_PREVIOUS_SECRETS: PREVIOUS_SECRET }
  const allowed = { RELAY_ALLOWED_REPOSITORIES: REPOSITORY }
  const system = await startSystem({ ...env, ...allowed }, startRelay)
  const secrets: Record<string, string> = {
    ...{ ADMIN_TOKEN, PREVIOUS_SECRET, clientSecret: system.port.clientSecret, token: system.github.token },
  }
  const path = system.env.RELAY_DATABASE!.replace('sqlite:', '')
  const places: Record<string, string> = {}
  const add = (place: string, text: string) => (places[place] = `${places[place] ?? ''}${text}\n`)
  let printed = ''
  let runs = 16_000_000_100

  async function deliver(more: JsonObject = {}) {
    const inputs: JsonObject = { version: '1.4.2' }
    for (const [name, text] of Object.entries(CLEAR))
      inputs[name] =
        name === 'own' ? encryptFor(publicKeyPem, text) : encryptWith(system.port.clientSecret, text)
    const encryptedProperties = Object.keys(CLEAR)
    const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties }
    const delivered = await system.deliver({ body: { inputs: { ...inputs, ...more }, action } })
    expect(delivered.payload.port.truncated).toEqual(['inputs.large'])
    return { ...delivered, portRun: delivered.portRun!, inputs: { ...inputs, ...more } }
  }
  async function simulate(
    { dispatch }: Awaited<ReturnType<typeof deliver>>,
    yaml: string,
    more: Partial<RunOptions> = {},
  ) {
    const runId = ++runs
    const payload = { event_type: dispatch.eventType, client_payload: dispatch.clientPayload }
    const simulated: SimulatedRun = await runWorkflow({
      yaml,
      event: { name: 'repository_dispatch', payload },
      repository: REPOSITORY,
      repositoryId: system.repositoryId,
      github: system.github,
      runId,
      secrets: { KEY: privateKeyPem },
      oidc: system.issuer.runner(system.run({ runId })),
      ...more,
    })
    add('what GitHub shows', shownOf(simulated))
    printed += printedBy(simulated)
    return {
      played: simulated,
      steps: Object.fromEntries(simulated.jobs[0]!.steps.map(step => [step.name, step])),
    }
  }
  async function api(path: string, method = 'GET') {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const response = await fetch(`${system.url}/api/deliveries${path}`, { method, headers })
    const text = await response.text()
    add('what the relay responds', text)
    return { status: response.status, body: JSON.parse(text) }
  }
  /** Sends a webhook. The signature must not appear anywhere, and the response is searched, too. */
  async function post(webhook: Webhook) {
    const { path, init } = webhookRequest({ secret: system.port.clientSecret, ...webhook })
    const response = await fetch(system.url + path, init)
    const signature = new Headers(init.headers).get('x-port-signature')
    if (signature) secrets[`signature ${Object.keys(secrets).length}`] = signature
    add('what the relay responds', `${JSON.stringify([...response.headers])}\n${await response.text()}`)
    return response.status
  }
  function readDatabase() {
    for (const [place, text] of Object.entries(contentOf(path))) add(place, text)
  }
  /** Lists each leaked secret with its place. Also checks that the search finds the secrets that the job printed. */
  async function search() {
    readDatabase()
    await system.relay.stop()
    add('what the relay printed', system.relay.printed())
    const sent = system.port.requests.filter(({ path }) => !path.startsWith('/v1/auth'))
    add('what Port got', JSON.stringify(sent.map(({ path, body }) => [path, body])))
    add('what GitHub got', JSON.stringify(system.github.requests.map(({ path, body }) => [path, body])))
    const texts = { ...CLEAR, 'a piece': MARK }
    expect(find(texts, { printed })).toEqual(Object.keys(texts).map(name => `${name} in printed`))
    expect(find(secrets, { minted: JSON.stringify(system.port.requests) })).toEqual([
      'clientSecret in minted',
    ])
    return find({ ...texts, ...secrets }, places)
  }
  return { system, post, places, deliver, simulate, api, readDatabase, search }
}
