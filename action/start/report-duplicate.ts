import { help } from '../runner/help.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

/**
 * Says why this job is not reported. It fails the step, before any step of the user runs, unless they want the job to go on,
 * and it can.
 *
 * @param lacks what the relay gives to the first workflow run alone
 */
export function sayDuplicate(
  message: string,
  { onDuplicate }: Pick<Inputs, 'onDuplicate'>,
  { core, env }: Pick<Runner, 'core' | 'env'>,
  lacks: { sealed: string[]; truncated: string[] } = { sealed: [], truncated: [] },
): void {
  const more = help(env, 'duplicates')
  if (onDuplicate === 'fail') {
    core.setFailed(`${message} It stops here, so that nothing is done twice (on-duplicate: fail).${more}`)
  } else if (lacks.truncated.length > 0) {
    core.setFailed(
      `${message} It cannot go on (on-duplicate: continue): ${quote(lacks.truncated)} did not fit into the payload, and ` +
        `the relay gives that to the other one alone.${more}`,
    )
  } else {
    const sealed =
      lacks.sealed.length > 0
        ? ` What the relay opens for the other one alone stays encrypted: ${quote(lacks.sealed)}.`
        : ''
    core.warning(
      `${message} It goes on, and Port is told nothing of it (on-duplicate: continue).${sealed}${more}`,
    )
  }
}

const quote = (names: string[]) => names.map(name => `"${name}"`).join(', ')
