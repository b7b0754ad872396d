import { help } from '../runner/help.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

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
