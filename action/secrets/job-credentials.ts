import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

/**
 * The keys and tokens of the job itself, which `env >> "$PORT_LOG"` would show to Port, and what the input `mask` names.
 */
export function jobCredentials(
  inputs: Inputs,
  env: Runner['env'],
  reportToken: string | null = null,
): string[] {
  return [
    inputs.portClientSecret,
    inputs.privateKey,
    inputs.githubToken,
    reportToken ?? '',
    env.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? '',
    env.ACTIONS_RUNTIME_TOKEN ?? '',
    ...inputs.mask,
  ].filter(secret => secret !== '')
}
