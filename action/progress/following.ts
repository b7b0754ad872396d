import type { PortError } from '../../port/client/port-client.ts'
import type { Token } from '../../port/client/token-cache.ts'
import type { Reporter } from '../report/reporter-contract.ts'
import type { JobFiles } from '../runner/job-files.ts'
import type { RelayAccess } from '../runner/relay-access.ts'
import type { Runner, Workflow } from '../runner/runner.ts'
import type { Masks } from '../secrets/masks.ts'
import type { ProgressFolder } from './progress-folder.ts'

/** What the progress reporter is given at its start. */
export interface FollowedJob {
  runId: string
  kind: 'action_run' | 'node_run'
  credentials: { portApiUrl: string; portClientId: string; portClientSecret: string }
  /** As main got it. */
  portToken: Token | null
  /** The way to Port where there are no credentials. */
  relay: RelayAccess | null
  /** Clear texts that must not reach Port. */
  secrets: string[]
  workflow: Workflow
  /** What main has set. */
  statusLabel: string
  files: JobFiles
  /** Null where the label is the author's: then GitHub is not asked. */
  github: { token: string; checkRunId: string | null } | null
  /** The process whose end is the job's; 0 where that cannot be known, as in a container. */
  worker: number
}

/** What the followers of one job share. */
export interface Following extends Pick<Runner, 'fetch' | 'clock'> {
  job: FollowedJob
  run: Pick<Reporter, 'update' | 'log' | 'upsertEntity' | 'deleteEntity' | 'handsOn'>
  folder: Pick<ProgressFolder, 'sent' | 'setSent' | 'entities' | 'setEntities' | 'masks' | 'setMasks'>
  masks: Masks
  /** Also ends when `ended` does. */
  sleep: (ms: number) => Promise<unknown>
  ended: AbortController
  /** When Port may be asked again, ms since the epoch. */
  pausedUntil(): number
  /** Pauses the reports until Port may accept them, or ends them where it never will. */
  trouble(error: PortError): void
  /** Sends something to Port; an error is returned, not thrown, after `trouble`. */
  send(operation: () => Promise<void>): Promise<PortError | null>
  /** Not further away than an hour. */
  soon(at: number): number
}
