import type { WorkflowRun } from './workflow-run.ts'

/** What one relay knows of the runs of a repository. Times are milliseconds since 1970. */
export interface RunsEntry {
  repository: string
  askedAt: number
  /** The oldest of what was wanted since the last reading. */
  since: number
  /** Ids wanted since the last reading: pages are turned for those, too. */
  wanted: Set<number>
  pages: { runs: WorkflowRun[]; etag: string | null }[]
  byId: Map<number, { run: WorkflowRun | null; etag: string | null; readAt: number; misses: number }>
  observed: Map<number, WorkflowRun>
  /** `forbidden`: not to be read, as when the token lacks Actions: read. `unavailable`: not for now. */
  access: 'read' | 'forbidden' | 'unavailable'
  reason: string | null
  /** When GitHub refused first, and last, since the list was read last. */
  refused: { first: number; last: number } | null
  readAt: number | null
  covers: number
  /** Not to be asked before then. */
  blockedUntil: number
  tries: number
  /** Requests that the last reading took. */
  cost: number
  reading: Promise<void> | null
}

/** Nothing is known yet. */
export const newEntry = (repository: string): RunsEntry => ({
  repository,
  askedAt: 0,
  since: Number.POSITIVE_INFINITY,
  wanted: new Set(),
  pages: [],
  byId: new Map(),
  observed: new Map(),
  access: 'read',
  reason: null,
  refused: null,
  readAt: null,
  covers: Number.POSITIVE_INFINITY,
  blockedUntil: 0,
  tries: 0,
  cost: 1,
  reading: null,
})
