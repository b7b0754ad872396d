import type { StandInEnv } from '../http-server.ts'
import type { Grant } from './state.ts'

/** What a route finds: who asks. */
export type GitHubEnv = {
  Bindings: StandInEnv['Bindings']
  Variables: StandInEnv['Variables'] & { grant: Grant }
}
