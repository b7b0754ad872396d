import type { Token } from '../../port/client/client.ts'
import type { JobFiles } from './files.ts'
import type { RelayAccess } from './payload.ts'
import type { Runner } from './runner.ts'

/** What main leaves for post. */
export interface State {
  runId: string
  kind: 'action_run' | 'node_run'
  /** ms epoch */
  startedAt: number
  files: JobFiles
  /** Whether Port's response has shown that this run is ours to report. */
  checked: boolean
  /** Whether Port has the link to this workflow run. */
  linked: boolean
  /** Why main stopped reporting, as it has warned: post asks Port once more if that is doubtful. */
  outlook?: 'doubtful' | 'lost'
  /** The secret inputs whose clear texts main gave to the job, by name. */
  decrypted?: string[]
  /** Why main failed the job. */
  problems?: string[]
  /** Whether Port's log has these. */
  explained?: boolean
  /** Reports go through the relay. */
  relay?: RelayAccess
  /** Port's token, if reports go to Port directly. */
  portToken?: Token | null
}

const NAME = 'report'

/** @param state null if nothing is left to do; the last one that is saved counts */
export function saveState(core: Runner['core'], state: State | null): void {
  core.saveState(NAME, JSON.stringify(state))
}

/** Null if main has left nothing to do. */
export function loadState(core: Runner['core']): State | null {
  const text = core.getState(NAME)
  return text === '' ? null : (JSON.parse(text) as State | null)
}
