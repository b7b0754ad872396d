import { PortError } from '../../port/client/client.ts'
import type { Inputs } from '../runner/inputs.ts'
import { help, type Runner } from '../runner/runner.ts'

/**
 * - `later`: a later report of the same run may succeed
 * - `doubtful`: no report will succeed, unless a gateway rather than Port rejected the credentials
 * - `lost`: no report will succeed
 * - `settled`: the run has finished, or accepts no reports
 */
export type Outlook = 'later' | 'doubtful' | 'lost' | 'settled'

/**
 * Warns that a report failed, and why. A run that a user has finished, or that accepts no reports, isn't this job's
 * error. Any other failure prints a warning, and fails the job only if the author configured that.
 *
 * @param options.again a message that names who retries, if a retry may help
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

/**
 * Prints why this job isn't reported to Port. Fails before any of the author's steps runs, unless the author wants the
 * job to continue and the job can continue.
 *
 * @param lacks what the relay returns only to the first workflow run
 */
export function reportDuplicate(
  message: string,
  { onDuplicate }: Pick<Inputs, 'onDuplicate'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  lacks: { encrypted: string[]; truncated: string[] } = { encrypted: [], truncated: [] },
): void {
  const more = help(env, 'duplicates')
  if (onDuplicate === 'fail') {
    core.setFailed(`${message} It stops here, so that nothing is done twice (on-duplicate: fail).${more}`)
  } else if (lacks.truncated.length > 0) {
    core.setFailed(
      `${message} It cannot continue (on-duplicate: continue): ${quote(lacks.truncated)} did not fit into the payload, and ` +
        `the relay gives that to the other one alone.${more}`,
    )
  } else {
    const stays =
      lacks.encrypted.length > 0
        ? ` The relay decrypts secret inputs for the other one alone; these stay encrypted: ${quote(lacks.encrypted)}.`
        : ''
    core.warning(
      `${message} It continues and is not reported to Port (on-duplicate: continue).${stays}${more}`,
    )
  }
}

const quote = (names: string[]) => names.map(name => `"${name}"`).join(', ')

/** Values of the input `report`, ordered by how much of the result they report, least first. */
const STRENGTH = ['updates', 'workflow', 'job']

/**
 * Prints that an earlier step of the job reports to Port, and which of this step's inputs are ignored.
 *
 * @param earlier the input `report` of the earlier step
 */
export function reportSecondUse(
  earlier: string,
  { report, needs, summary }: Pick<Inputs, 'report' | 'needs' | 'summary'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
): void {
  const unused = [
    STRENGTH.indexOf(report) > STRENGTH.indexOf(earlier) && `report: ${report}`,
    Object.keys(needs).length > 0 && 'needs',
    summary !== '' && 'summary',
  ].filter(name => name !== false)
  const message = 'An earlier step of this job reports this run to Port.'
  if (unused.length === 0) core.info(message)
  else
    core.warning(
      `${message} These inputs of this step are ignored: ${unused.join(', ')}. Set them on the earlier step.${help(env, 'inputs')}`,
    )
}
