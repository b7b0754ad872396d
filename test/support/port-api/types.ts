import type { StandIn } from '../http-server.ts'

export type PortLog = { id: string; message: string /** Epoch milliseconds. */; at: number }

/** An action run as Port knows it. Times are ISO 8601. */
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
  /** The request that Port sent for this run; `payload.body` as rendered. */
  payload: Record<string, unknown>
  /** What `PATCH …/response` has set. */
  response?: Record<string, unknown>
  logs: PortLog[]
  createdAt: string
  updatedAt: string
  endedAt?: string
}

/** A node run of a Port workflow. */
export type PortNodeRun = {
  id: string
  status: 'IN_PROGRESS' | 'COMPLETED'
  result?: 'SUCCESS' | 'FAILED' | 'CANCELLED'
  output: Record<string, unknown>
  links: string[]
  externalRunId?: string
  logs: (PortLog & { level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' })[]
  endedAt?: string
}

export type PortEntity = {
  blueprint: string
  identifier: string
  title?: string
  icon?: string
  team?: unknown
  properties: Record<string, unknown>
  relations: Record<string, unknown>
  /** The run it was tied to by the last call. */
  runId?: string
  createdAt: string
  updatedAt: string
}

/** What a new run is given; the rest gets a sensible value. `payload` is laid over the request that Port would have sent. */
export type NewPortRun = Partial<Omit<PortRun, 'logs'>>

export type PortApiOptions = {
  clientId?: string
  clientSecret?: string
  /** How long a token is valid, in seconds; 10,800 when absent. */
  expiresIn?: number
  /** Blueprints by identifier, each with the JSON Schema of its entities' properties. All others are unknown, unless none is given. */
  blueprints?: Record<string, Record<string, unknown>>
}

export type PortApi = StandIn & {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  /** Seconds that tokens minted from now on are valid. */
  expiresIn: number
  createRun(run?: NewPortRun): PortRun
  createNodeRun(run?: { id?: string }): PortNodeRun
  /** The state now, live; throws on an unknown id. */
  run(id: string): PortRun
  nodeRun(id: string): PortNodeRun
  /** Finishes a run as a user does in Port; the label stays what it was, if none is given. */
  endRun(id: string, status: 'SUCCESS' | 'FAILURE', statusLabel?: string): void
  readonly entities: PortEntity[]
  /** From the first call on, other blueprints are unknown. */
  declareBlueprint(identifier: string, properties?: Record<string, unknown>): void
  /** Every token handed out so far answers 401 from now on. */
  expireTokens(): void
  readonly failures: {
    /** 429 with `Retry-After`, or with `x-ratelimit-reset` as epoch seconds or as a delta. */
    rateLimit(when: { retryAfter?: number; reset?: number; times?: number }): () => void
    down(): Promise<void>
  }
}
