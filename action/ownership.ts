import type { RunState } from '../port/types.ts'
import type { Inputs } from './runner/inputs.ts'
import { help, type Runner } from './runner/runner.ts'

/** Whether a run in Port is this workflow run's to report, or why not. */
export type Verdict =
  | { verdict: 'ours' }
  | { verdict: 'silent'; message: string }
  | { verdict: 'duplicate'; message: string }

/**
 * @param runId null where Port was asked through the relay for a delivery without one
 * @param githubRunId of the workflow run that asks; a re-run keeps it
 */
export function checkRun(runId: string | null, state: RunState, githubRunId: string): Verdict {
  if (state.ended) {
    return {
      verdict: 'silent',
      message:
        `Port's run ${runId} has already ended (${state.status}), as after a re-run, or when somebody ended it by ` +
        'hand. This job continues and is not reported.',
    }
  }
  if (state.synchronized) {
    return {
      verdict: 'silent',
      message:
        `Port's run ${runId} is synchronous: Port takes the answer to its webhook as the result, so it learns ` +
        'nothing of this job. To have it reported, turn the Port action\'s "Synchronous" setting off.',
    }
  }
  const other = state.externalRunId
  if (other !== null && /^\d+$/.test(other) && other !== githubRunId) {
    return {
      verdict: 'duplicate',
      message: `${runId === null ? "This delivery of Port's" : `Port's run ${runId}`} already runs in another workflow run, ${other}; this one is ${githubRunId}.`,
    }
  }
  return { verdict: 'ours' }
}

/**
 * Reports in GitHub why this job is not reported to Port. It fails the step, before any step of the user runs, unless they want the job to go on,
 * and it can.
 *
 * @param lacks what the relay gives to the first workflow run alone
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
