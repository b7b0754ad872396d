import type { Token } from '../../port/client/client.ts'
import type { JobFiles } from './files.ts'
import type { RelayAccess } from './payload.ts'
import type { Runner } from './runner.ts'

/** The state that main saves for post. */
export interface State {
  runId: string
  kind: 'action_run' | 'node_run'
  /** ms since the epoch */
  startedAt: number
  files: JobFiles
  /** Whether Port's response showed that this workflow run reports the Port run. */
  checked: boolean
  /** Whether Port has the link to this workflow run. */
  linked: boolean
  /** How final the failure is that made main stop reporting. If `doubtful`, post queries Port once more. */
  outlook?: 'doubtful' | 'lost'
  /** The names of the secret inputs that main decrypted for the job. */
  decrypted?: string[]
  /** The errors that made main fail the job. */
  problems?: string[]
  /** Whether Port's log contains these errors. */
  explained?: boolean
  /** The connection if reports go through the relay. */
  relay?: RelayAccess
  /** The Port token if reports go to Port directly. */
  portToken?: Token | null
}

const NAME = 'report'

/** @param state null if post has nothing to do; the last saved state counts */
export function saveState(core: Runner['core'], state: State | null): void {
  core.saveState(NAME, JSON.stringify(state))
}

/** Returns null if post has nothing to do. */
export function loadState(core: Runner['core']): State | null {
  const text = core.getState(NAME)
  return text === '' ? null : (JSON.parse(text) as State | null)
}
