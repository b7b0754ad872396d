import { PortError } from '../port/client.ts'
import { help } from './help.ts'
import type { Runner } from './runner.ts'

/**
 * Says that Port could not be told, and why. A run that somebody has ended, or that takes no reports, is no
 * error of ours; anything else is a warning, and the end of the job only where its author asked for that.
 *
 * @returns whether a later report of the same run may succeed
 */
export function reportTrouble(
  error: unknown,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  options: { failOnReportError: boolean },
): boolean {
  const kind = error instanceof PortError ? error.kind : null
  const message = error instanceof Error ? error.message : String(error)
  if (kind === 'ended' || kind === 'synchronized') {
    core.notice(`Port is told nothing more: ${message}`)
    return false
  }
  const sentence = `Port could not be told: ${message}${help(env, kind === 'credentials' ? 'credentials' : 'port')}`
  if (options.failOnReportError) core.setFailed(sentence)
  else core.warning(sentence)
  return kind !== 'unknown_run' && kind !== 'credentials'
}
