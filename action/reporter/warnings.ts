import { PortError } from '../../port/client/client.ts'
import { help, type Runner } from '../runner/runner.ts'

/**
 * - `later`: a later report of the same run may succeed
 * - `doubtful`: none will, unless the credentials are taken then: a gateway may have refused in Port's place
 * - `lost`: none will, as things are
 * - `settled`: the run has ended, or takes no reports
 */
export type Outlook = 'later' | 'doubtful' | 'lost' | 'settled'

/**
 * Warns that a report failed, and why. A run that somebody has ended, or that takes no reports, is no
 * error of ours; anything else is a warning, and the end of the job only where its author asked for that.
 *
 * @param options.again who tries again, as a sentence, where that may help
 */
export function reportFailure(
  error: unknown,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  options: { failOnReportError: boolean; again?: string },
): Outlook {
  const kind = error instanceof PortError ? error.kind : null
  const message = error instanceof Error ? error.message : String(error)
  if (kind === 'ended' || kind === 'synchronized') {
    core.notice(`No further updates are sent to Port: ${message}`)
    return 'settled'
  }
  const outlook = kind === 'credentials' ? 'doubtful' : kind === 'unknown_run' ? 'lost' : 'later'
  const again = outlook === 'later' && options.again ? ` ${options.again}` : ''
  const more = help(env, kind === 'credentials' ? 'credentials' : 'port')
  const sentence = `Reporting to Port failed: ${message}${again}${more}`
  if (options.failOnReportError) core.setFailed(sentence)
  else core.warning(sentence)
  return outlook
}
