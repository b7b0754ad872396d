import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { readAction } from '../../test/support/player/read-action.ts'
import { readWorkflow, type Workflow, type WorkflowStep } from '../../test/support/player/read-workflow.ts'

interface Place {
  /** The folder that `uses: ./…` is read from. */
  root: string
  /** The files that have led here, from the workflow of the trial on. */
  way: string[]
}

/**
 * A trial has this machine with its bash and sh: a workflow that needs more is refused before anything runs, in the workflow
 * as well as in the reusable workflows and the composite actions of its repository that it uses.
 *
 * @param name as messages name the workflow
 * @throws Error with a sentence
 */
export async function refuseOtherSystems(name: string, { jobs }: Workflow, place: Place): Promise<void> {
  for (const { id, container, shell, steps, uses } of jobs) {
    if (container !== null) {
      throw new Error(
        `Job ${id} of ${name} runs in a container, and a trial has none: its steps would run on this machine itself. ` +
          'To try it so all the same, take "container" out of a copy of the workflow.',
      )
    }
    await refuseShells(`job ${id} in ${name}`, steps, shell, place)
    if (uses?.startsWith('./')) await lookIntoWorkflow(`Job ${id} of ${name}`, uses, place)
  }
}

async function lookIntoWorkflow(caller: string, uses: string, place: Place): Promise<void> {
  const file = resolve(place.root, uses)
  const inside = enter(caller, uses, file, place)
  if (!existsSync(file))
    throw new Error(`${caller} calls ${uses}, which does not exist in ${place.root}: correct its path.`)
  const name = uses.slice(2)
  // The player prints what is left out.
  const called = await readWorkflow(name, await readFile(file, 'utf8'), () => {})
  await refuseOtherSystems(name, called, inside)
}

/** @param usual the shell of steps that name none */
async function refuseShells(
  of: string,
  steps: WorkflowStep[],
  usual: WorkflowStep['shell'],
  place: Place,
): Promise<void> {
  for (const [index, { run, shell, uses }] of steps.entries()) {
    const asked = shell ?? usual
    if (run !== null && typeof asked === 'string' && !['bash', 'sh'].includes(asked)) {
      throw new Error(
        `Step ${index + 1} of ${of} runs in the shell "${asked}", and a trial has only bash and sh: call ` +
          'it from bash in a copy of the workflow, or take the step out.',
      )
    }
    if (uses?.startsWith('./')) await lookIntoAction(`Step ${index + 1} of ${of}`, uses, place)
  }
}

async function lookIntoAction(user: string, uses: string, place: Place): Promise<void> {
  const directory = resolve(place.root, uses)
  const inside = enter(user, uses, directory, place)
  // The player names a missing one.
  if (!existsSync(join(directory, 'action.yml'))) return
  const { runs } = await readAction(directory)
  if (runs.using === 'composite') await refuseShells(uses, runs.steps, null, inside)
}

/** GitHub refuses a circle, and the player would go round in it. */
function enter(user: string, uses: string, file: string, { root, way }: Place): Place {
  if (way.includes(file))
    throw new Error(`${user} uses ${uses}, which has led to it: GitHub refuses a circle.`)
  return { root, way: [...way, file] }
}
