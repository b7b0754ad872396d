import { help } from '../runner/help.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

/** The values of the input `report`, from the least that is reported of a run's end to the most. */
const STRENGTH = ['updates', 'workflow', 'job']

/**
 * Reports that an earlier step of the job reports to Port, and which inputs of this step are ignored.
 *
 * @param earlier the input `report` of that step
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
