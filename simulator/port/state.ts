import { randomBytes } from 'node:crypto'
import type { JsonObject } from '../../port/types.ts'

export type DefinitionKind = 'action' | 'workflow'

export type PortState = ReturnType<typeof newPortState>

export function newPortState(options: PortApiOptions) {
  return {
    clientId: options.clientId ?? `client_${randomId()}`,
    clientSecret: options.clientSecret ?? randomBytes(48).toString('base64url'),
    /** The lifetime of new tokens, in seconds. */
    expiresIn: options.expiresIn ?? 10_800,
    /** The current token, and when it expires (epoch milliseconds). */
    token: undefined as { value: string; expiresAt: number } | undefined,
    runs: new Map<string, PortRun>(),
    nodeRuns: new Map<string, PortNodeRun>(),
    /** Actions and workflows by identifier, as Port returns them. */
    definitions: { action: new Map<string, JsonObject>(), workflow: new Map<string, JsonObject>() },
    /** The settings of the organization. */
    settings: {} as { portAgentStreamerName?: 'KAFKA' | 'POLLING' },
    entities: [] as PortEntity[],
    /** The JSON Schema of a blueprint's properties, by its identifier. Until one is declared, every blueprint is known. */
    blueprints: new Map<string, Record<string, unknown>>(),
  }
}

/** Returns sixteen random characters, like the second part of Port's ids. */
export function randomId(): string {
  return randomBytes(24)
    .toString('base64')
    .replaceAll(/[^A-Za-z0-9]/g, 'x')
    .slice(0, 16)
}

/** Like Port, returns the same token until it expires, and then a new token. */
export function currentToken(state: PortState): { value: string; expiresAt: number } {
  if (!state.token || state.token.expiresAt <= Date.now()) {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const expiresAt = Date.now() + state.expiresIn * 1000
    const claims = { sub: `${state.clientId}@clients`, exp: Math.floor(expiresAt / 1000), jti: randomId() }
    const value = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${randomBytes(32).toString('base64url')}`
    state.token = { value, expiresAt }
  }
  return state.token
}

export function newRun({ payload, ...given }: NewPortRun): PortRun {
  const now = new Date().toISOString()
  const id = given.id ?? `r_${randomId()}`
  return {
    action: 'deploy_service',
    properties: {},
    status: 'IN_PROGRESS',
    synchronized: false,
    createdAt: now,
    updatedAt: now,
    ...given,
    id,
    payload: {
      type: 'WEBHOOK',
      url: 'https://relay.example/webhook',
      agent: false,
      synchronized: given.synchronized ?? false,
      method: 'POST',
      headers: { RUN_ID: id },
      body: {},
      ...payload,
    },
    logs: [],
  }
}

/** Returns the run of a workflow in the API's format. */
export function shownWorkflowRun(identifier: string, nodes: PortNodeRun[], state: PortState) {
  const isDone = nodes.every(node => node.finishedAt)
  const { createdAt } = nodes[0]!
  return {
    ...{ identifier, createdAt, updatedAt: createdAt, createdBy: `${state.clientId}@clients` },
    status: isDone ? 'COMPLETED' : nodes.some(node => node.isCancelling) ? 'CANCELLING' : 'IN_PROGRESS',
    ...{ result: isDone ? nodes.at(-1)!.result : null, variables: {}, workflowVersionId: 1 },
    nodeRuns: nodes.map(({ id, status, result = null, output, createdAt, finishedAt = null }) => ({
      ...{ identifier: id, status, result, output, createdAt, updatedAt: finishedAt ?? createdAt },
      ...{ completedAt: finishedAt, nodeConfigType: 'WEBHOOK', nodeRunLogs: [] },
    })),
  }
}

/** Applies a call's changes; a status finishes the run. */
export function updateRun(run: PortRun, patch: Partial<PortRun>): void {
  const now = new Date().toISOString()
  Object.assign(run, patch, { updatedAt: now })
  if (patch.status && patch.status !== 'IN_PROGRESS') run.finishedAt = now
}

/** Returns a run in the API's format. With `version=v2`, the run contains objects instead of names. */
export function shownRun(
  run: PortRun,
  version: string | undefined,
  state: PortState,
): Record<string, unknown> {
  const { action, blueprint, entity, logs, synchronized, finishedAt, ...rest } = run
  const named = (identifier: string) =>
    version === 'v2' ? { identifier, title: identifier, icon: null } : identifier
  return {
    ...rest,
    action: named(action),
    blueprint: blueprint && { identifier: blueprint, title: blueprint },
    entity: entity && { identifier: entity, title: entity },
    finishedAt: finishedAt ?? (version === 'v2' ? undefined : null),
    source: 'UI',
    requiredApproval: false,
    createdBy: `${state.clientId}@clients`,
    updatedBy: `${state.clientId}@clients`,
  }
}

export type PortLog = { id: string; message: string /** Epoch milliseconds. */; at: number }

/** An action run in Port. Times are ISO 8601. */
export type PortRun = {
  id: string
  action: string
  blueprint?: string
  entity?: string
  /** The inputs. */
  properties: Record<string, unknown>
  status: 'IN_PROGRESS' | 'SUCCESS' | 'FAILURE' | 'WAITING_FOR_APPROVAL' | 'DECLINED'
  statusLabel?: string
  link?: string | string[]
  summary?: string
  externalRunId?: string
  synchronized: boolean
  /** The webhook that Port sent for this run. `payload.body` is the rendered body. */
  payload: Record<string, unknown>
  logs: PortLog[]
  createdAt: string
  updatedAt: string
  finishedAt?: string
}

/** A node run of a Port workflow. */
export type PortNodeRun = {
  id: string
  workflowRunId: string
  /** Whether a user is canceling the workflow. */
  isCancelling?: boolean
  statusLabel?: string
  createdAt: string
  status: 'IN_PROGRESS' | 'COMPLETED'
  result?: 'SUCCESS' | 'FAILED' | 'CANCELLED'
  output: Record<string, unknown>
  links: string[]
  externalRunId?: string
  logs: (PortLog & { level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' })[]
  finishedAt?: string
}

export type PortEntity = {
  blueprint: string
  identifier: string
  title?: string
  icon?: string
  team?: unknown
  properties: Record<string, unknown>
  relations: Record<string, unknown>
  /** The run that the last call linked the entity to. */
  runId?: string
  createdAt: string
  updatedAt: string
}

/** The values of a new run; missing ones have defaults. `payload` overrides the webhook that Port would have sent. */
export type NewPortRun = Partial<Omit<PortRun, 'logs'>>

export type PortApiOptions = {
  clientId?: string
  clientSecret?: string
  /** The token lifetime (seconds); default: 10,800. */
  expiresIn?: number
}

/** Error responses of Port's API. */
const REFUSALS = {
  invalidRequest: [422, 'invalid_request', 'The data provided does not match the route schema'],
  workflowRunNotFound: [404, 'not_found', 'The workflow run with the provided identifier was not found'],
  runNotFound: [404, 'not_found', 'The action run with the provided identifier was not found'],
  nodeRunNotFound: [404, 'not_found', 'The workflow node run with the provided identifier was not found'],
  entityNotFound: [404, 'not_found', 'The entity with the provided identifier was not found'],
  hasDependents: [
    422,
    'dependent_entities_exist',
    'The entity is the target of a required relation of other entities',
  ],
  resourceNotFound: [404, 'not_found', 'A resource with the provided identifier was not found'],
  routeNotFound: [404, 'not_found', 'Route not found'],
  runExhausted: [422, 'run_exhausted', 'Action run already finished execution'],
  runSynchronized: [
    422,
    'run_synchronized_error',
    'Cannot manually change status of a synchronized action run',
  ],
  entityRunExhausted: [400, 'run_exhausted', undefined],
  identifierTaken: [
    409,
    'identifier_taken',
    'The provided identifier already exists, identifiers must be unique',
  ],
  schemaMismatch: [
    422,
    'blueprint_schema_mismatch',
    "The provided entity does not match the blueprint's schema",
  ],
  bodyTooLarge: [413, 'body_too_large', undefined],
  unauthorized: [401, 'unauthorized', undefined],
} as const

export type Refusal = keyof typeof REFUSALS

/** Returns the response for a refusal. `detail` is added to the message. */
export function refuse(refusal: Refusal, detail?: string): Response {
  const [status, error, words] = REFUSALS[refusal]
  const message = words && detail ? `${words}: ${detail}` : words
  return Response.json({ ok: false, error, message }, { status })
}

/** Returns the body and headers of Port's response for an injected status. */
export function failureResponse(status: number): { body: unknown; headers?: Record<string, string> } {
  if (status === 429) {
    return {
      body: { ok: false, error: 'rate_limit_exceeded' },
      headers: { 'x-ratelimit-limit': '1000', 'x-ratelimit-period': '300', 'x-ratelimit-remaining': '0' },
    }
  }
  if (status === 401) return { body: { ok: false, error: 'unauthorized' } }
  return { body: { ok: false, error: 'internal_error', message: 'An internal error occurred' } }
}
