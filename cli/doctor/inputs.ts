import { createPortClient } from '../../port/client/client.ts'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { object } from '../../port/invocation/values.ts'
import { packClientPayload } from '../../port/payload.ts'
import { parseJson } from '../../port/text.ts'
import { type Invocation, isObject, type Json, type JsonObject } from '../../port/types.ts'
import type { Config } from '../../relay/config/config.ts'
import { LIMITS } from '../../relay/config/limits.ts'
import type { Delivery } from '../../relay/delivery/delivery.ts'
import type { Target } from '../../relay/github/client.ts'
import { createCredential } from '../../relay/github/credentials.ts'
import { createRepositoryReader } from '../../relay/github/repository.ts'
import { readWorkflowInputs } from '../../relay/github/workflow-files.ts'
import { openStoreForCommand } from '../../relay/store/open.ts'
import { offerInputs } from '../../workflow-files/dispatch-inputs.ts'
import { contextNotes } from '../../workflow-files/reads.ts'
import { type Dispatched, namesOf, undeclaredSentence } from '../../workflow-files/refusal.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import type { WorkflowInputs } from '../../workflow-files/triggers.ts'
import { formOf, type PortAction, readPortActions } from '../generate/port-action.ts'
import { bodyOfGitHub, readStart } from '../migrate/port-action.ts'
import { targetOf } from '../send-request.ts'
import type { Check, CheckDeps, Finding, Findings } from './check.ts'
import { ok, problem, TIMEOUT_MS, warning } from './check.ts'
import { refusal } from './repositories.ts'

/** The maximum numbers of deliveries to read, and of workflows and nodes to check. */
const RECENT = 200
const MAX_COMPARED = 20
const MAX_NODES = 10

interface Sent {
  by: string
  target: Target & { workflow: string }
  invocation: Invocation
  /** Inputs that a user can leave empty. */
  optional: string[]
}

/** For recent deliveries, checks synchronous nodes and undeclared inputs. */
export const recentDeliveries: Check = {
  name: 'deliveries',
  async run(deps) {
    // If the store can't be opened, the database check reports the reason.
    const store = await openStoreForCommand(deps.config.database, 'read').catch(() => null)
    if (!store) return []
    try {
      const found = await store.list({}, { limit: RECENT })
      const latest = new Map<string, (typeof found)[number]>()
      for (const delivery of found.toReversed()) {
        const { repository, workflow, ref, action } = delivery
        if (workflow !== null) latest.set(JSON.stringify([repository, workflow, ref, action]), delivery)
      }
      const compared = [...latest.values()].slice(-MAX_COMPARED)
      const nodes = found.filter(({ kind }) => kind === 'node_run').slice(0, MAX_NODES)
      const ids = [...compared, ...nodes].map(({ id }) => id)
      const texts = await store.invocations(ids, LIMITS.shownInvocation)
      const sent = compared.flatMap(({ id, repository, workflow, ref, action }): Sent[] => {
        const invocation = parseJson(texts.get(id) ?? '') as unknown as Invocation | undefined
        if (!isObject(invocation) || workflow === null) return []
        const by = action === null ? `delivery ${id}` : `the last delivery of ${action}`
        const target = { repository, workflow, ref, eventType: null }
        return [{ by, target, invocation: invocation as unknown as Invocation, optional: [] }]
      })
      return [await checkNodes(nodes, texts, deps), ...(await compareAll(sent, deps))]
    } finally {
      await store.close()
    }
  },
}

/** Finds node runs that finished as soon as the relay had responded to the webhook. */
async function checkNodes(
  nodes: Pick<Delivery, 'id' | 'runId'>[],
  texts: Map<string, string>,
  { config, clock, fetch }: CheckDeps,
): Promise<Finding | false> {
  const { apiUrl, clientId, secrets } = config.port
  if (clientId === null) return false
  const client = createPortClient({
    ...{ apiUrl, clientId, clientSecret: secrets[0], clock, timeoutMs: TIMEOUT_MS, readNodeRuns: true },
    fetch: (url, init) => fetch(url, { ...init, redirect: 'manual' }),
  })
  const found: string[] = []
  for (const { id, runId } of nodes) {
    const { workflowRunId } = object(parseJson(texts.get(id) ?? '')) as Partial<Invocation>
    // If Port can't be read, the Port check reports the reason.
    const run = await client
      .run(String(runId), workflowRunId)
      .read()
      .catch(() => null)
    if (run?.synchronized) found.push(`${runId}`)
  }
  return (
    found.length > 0 &&
    warning(
      `Port finished ${found.join(', ')} within seconds of the webhook, before anything ran on GitHub: set "synchronized": false in the node of the Port workflow, because its default is true.`,
    )
  )
}

export const portActionCheck = (file: string): Check => ({
  name: 'port action',
  async run(deps) {
    const sent = readPortActions(deps.readFile(file)).map(action => readSent(action, deps.config))
    const found = await Promise.all(
      sent.map(each => ('invocation' in each ? compareAll([each], deps) : [each])),
    )
    return found.flat()
  },
})

function readSent(action: PortAction, config: Config): Sent | Finding {
  const { identifier, invocationMethod: method } = action
  const { properties, required: named } = formOf(action)
  const isWebhook = method.type === 'WEBHOOK'
  const template = isWebhook ? (method.body ?? '{{ . }}') : bodyOfGitHub(method)
  const invocation = readInvocation(renderBody(template, contextOf(action), sample), RUN_ID)
  const target = isWebhook ? targetOf(config, invocation, addressOf(method)) : ofGitHub(action, identifier)
  const { workflow } = target
  if (workflow === null)
    return ok(`${identifier} starts a repository_dispatch, and its payload contains every input.`)
  const required = Array.isArray(named) ? named : Object.keys(properties)
  const optional = Object.keys(properties).filter(name => !required.includes(name))
  return { by: identifier, target: { ...target, workflow }, invocation, optional }
}

const RUN_ID = 'r_Doctor0000000000'

/** Returns a sample value for an expression: NAME for a key such as `{{ if … then "NAME" else null end }}`, and `x` otherwise. */
const sample = (expression: string) => /\bthen\s+"([^"]*)"/.exec(expression)?.[1] ?? 'x'

function contextOf(action: PortAction): JsonObject {
  const { identifier, trigger } = action
  const samples: Record<string, Json> = { boolean: true, number: 1, array: [], object: {} }
  const inputs = Object.entries(formOf(action).properties).map(([name, { type }]) => [
    name,
    samples[type] ?? 'x',
  ])
  const blueprint = trigger.blueprintIdentifier ?? null
  return {
    run: { id: RUN_ID },
    action: { identifier, blueprint, encryptedProperties: [] },
    inputs: Object.fromEntries(inputs),
    entity:
      trigger.operation === 'CREATE' ? {} : { identifier: 'x', blueprint, properties: {}, relations: {} },
    event: null,
    trigger: { by: { user: { email: 'x' } }, operation: trigger.operation ?? null, origin: 'UI', at: '' },
  }
}

function addressOf({ url }: JsonObject): URL {
  const address = typeof url === 'string' ? URL.parse(url) : null
  if (!address) throw new Error('The action has no webhook URL: set it in Port.')
  return address
}

function ofGitHub(action: PortAction, identifier: string): Target {
  const { repository, name, ref = null } = readStart(action)
  if (repository === null || name === null)
    throw new Error(
      `${identifier} must name its repository and workflow ("org", "repo", and "workflow") without expressions.`,
    )
  return { repository, workflow: name, ref, eventType: null }
}

async function compareAll(sent: Sent[], { config, clock }: CheckDeps): Promise<Findings> {
  const credential = createCredential(config.github, clock)
  const { repository: read } = createRepositoryReader(credential)
  const findings: Findings = []
  for (const { by, target, invocation, optional } of sent) {
    const { repository, workflow } = target
    try {
      const ref = target.ref ?? (await read(repository)).defaultBranch
      const dispatched = { repository, workflow, ref }
      const file = await readWorkflowInputs(credential, dispatched)
      findings.push(
        ...(file
          ? compare(by, { dispatched, invocation, optional }, file, config)
          : [problem(`${repository}: ${workflow} has no workflow_dispatch on ${ref}: add it under "on".`)]),
      )
    } catch (error) {
      findings.push(...refusal(error, `${workflow} in ${repository}`, repository))
    }
  }
  return findings
}

function compare(
  by: string,
  { dispatched, invocation, optional }: Pick<Sent, 'invocation' | 'optional'> & { dispatched: Dispatched },
  file: WorkflowInputs,
  { publicUrl }: Config,
): Findings {
  const { declared } = file
  const payload = packClientPayload(invocation, { delivery: 'doctor', relay: publicUrl })
  const offer = offerInputs(invocation, payload, file)
  const makes = (input: 'port_context' | 'port_payload') => invocation.forWorkflow?.[input] === undefined
  const made = {
    entities: invocation.entity !== null && makes('port_context') ? file.entities : [],
    missing: file.missing.filter(({ input }) => makes(input)),
  }
  const isDeclared = (name: string) => Object.hasOwn(declared, name)
  const where = `${dispatched.workflow} in ${dispatched.repository}`
  const inPayload = isDeclared('port_payload') ? offer.readFromPayload : []
  const undeclared = [...offer.entered.keys()].filter(name => !isDeclared(name) && !inPayload.includes(name))
  const isCarried = offer.payload !== null && isDeclared('port')
  const required = Object.keys(declared).filter(name => isRequired(declared[name]))
  const isSentTo = (name: string) =>
    offer.entered.has(name) || offer.others.has(name) || (name === 'port' && offer.payload !== null)
  const missing = required.filter(name => !isSentTo(name))
  const empty = required.filter(name => isSentTo(name) && optional.includes(name))
  const fix = 'or give it a default in the workflow'
  const wrong = [
    undeclared.length > 0 &&
      !isCarried &&
      problem(`${by}: ${undeclaredSentence(dispatched, undeclared, Object.keys(declared))}`),
    missing.length > 0 &&
      problem(
        `${by}: ${where} requires ${namesOf(missing)}, which the action doesn't send: add the input to the action and its body, ${fix}.`,
      ),
    ...contextNotes(where, made).map(({ note }) => warning(`${by}: ${note}`)),
    empty.length > 0 &&
      warning(
        `${by}: ${where} requires ${namesOf(empty)}, which a user can leave empty: make the input required in Port, ${fix}.`,
      ),
  ]
  if (wrong.some(Boolean)) return wrong
  const carried = undeclared.length > 0 ? `, and its input "port" contains ${namesOf(undeclared)}` : ''
  return [ok(`${by}: ${where} gets every input${carried}.`)]
}

function isRequired(input: Json | undefined): boolean {
  if (!isObject(input)) return false
  return String(input.required) === 'true' && (input.default ?? null) === null
}
