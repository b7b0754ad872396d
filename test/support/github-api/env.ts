import type { StandInEnv } from '../http-server.ts'
import type { Grant } from './state.ts'

/** What a route finds: who asks. */
export type GitHubEnv = {
  /** `forwarded`: of a request that came under the repository's id. */
  Bindings: StandInEnv['Bindings'] & { forwarded?: StandInEnv['Variables'] }
  Variables: StandInEnv['Variables'] & { grant: Grant }
}
