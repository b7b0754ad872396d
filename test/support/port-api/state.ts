import { randomBytes } from 'node:crypto'
import type { NewPortRun, PortApiOptions, PortEntity, PortNodeRun, PortRun } from './types.ts'

export type PortState = {
  clientId: string
  clientSecret: string
  expiresIn: number
  /** The token being handed out, and when it expires (epoch milliseconds). */
  token?: { value: string; expiresAt: number }
  runs: Map<string, PortRun>
  nodeRuns: Map<string, PortNodeRun>
  entities: PortEntity[]
  /** Undefined until one is declared: then every blueprint is known. */
  blueprints?: Map<string, Record<string, unknown>>
}

export function newPortState(options: PortApiOptions): PortState {
  return {
    clientId: options.clientId ?? `client_${randomId()}`,
    clientSecret: options.clientSecret ?? randomBytes(48).toString('base64url'),
    expiresIn: options.expiresIn ?? 10_800,
    runs: new Map(),
    nodeRuns: new Map(),
    entities: [],
    blueprints: options.blueprints && new Map(Object.entries(options.blueprints)),
  }
}

/** Sixteen characters, as Port's ids end. */
export function randomId(): string {
  return randomBytes(24)
    .toString('base64')
    .replaceAll(/[^A-Za-z0-9]/g, 'x')
    .slice(0, 16)
}

/** The token in force, or a new one when it has expired: Port hands the same one out until then. */
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

/** Applies what a call changes; a status ends the run. */
export function updateRun(run: PortRun, patch: Partial<PortRun>): void {
  const now = new Date().toISOString()
  Object.assign(run, patch, { updatedAt: now })
  if (patch.status && patch.status !== 'IN_PROGRESS') run.endedAt = now
}

/** A run as the API shows it: `version=v2` has objects where the older one has names. */
export function shownRun(
  run: PortRun,
  version: string | undefined,
  state: PortState,
): Record<string, unknown> {
  const { action, blueprint, entity, logs, synchronized, endedAt, ...rest } = run
  const named = (identifier: string) =>
    version === 'v2' ? { identifier, title: identifier, icon: null } : identifier
  return {
    ...rest,
    action: named(action),
    blueprint: blueprint && { identifier: blueprint, title: blueprint },
    entity: entity && { identifier: entity, title: entity },
    endedAt: endedAt ?? (version === 'v2' ? undefined : null),
    source: 'UI',
    requiredApproval: false,
    createdBy: `${state.clientId}@clients`,
    updatedBy: `${state.clientId}@clients`,
  }
}
