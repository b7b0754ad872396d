import { basename, dirname, resolve } from 'node:path'
import { readWorkflow, type Workflow } from '../../test/support/player/read-workflow.ts'
import { fromHere, readText } from './read-text.ts'

/** The workflow to play, and what it wants. */
export interface TrialWorkflow {
  /** As messages name it. */
  name: string
  yaml: string
  /** Its path, null for the one that is played without `--workflow`. */
  file: string | null
  /** The folder that holds `.github`, from which `uses: ./…` is read. */
  root: string
  workflow: Workflow
  /** The types of repository_dispatch that it listens to; empty for every type. */
  types: string[]
}

const PROJECT = resolve(import.meta.dirname, '../..')
const DEFAULT = `
on: { repository_dispatch: }
jobs:
  trial:
    runs-on: ubuntu-latest
    steps:
      - uses: org/port-webhook-action@v1
        id: port
        with:
          port-client-id: \${{ vars.PORT_CLIENT_ID }}
          port-client-secret: \${{ secrets.PORT_CLIENT_SECRET }}
      - name: Show the outputs
        env: { OUTPUTS: "\${{ toJSON(steps.port.outputs) }}" }
        run: echo "$OUTPUTS"
`

/**
 * Reads the file of `--workflow`; without one, a job that prints the action's outputs.
 *
 * @throws Error with GitHub's own messages where it does not parse, or a sentence on why the action would not run in it
 */
export async function readTrialWorkflow(file: string | undefined): Promise<TrialWorkflow> {
  if (file === undefined) {
    const workflow = await readWorkflow('trial.yml', DEFAULT)
    return {
      name: 'a workflow that shows the outputs',
      yaml: DEFAULT,
      file: null,
      root: PROJECT,
      workflow,
      types: [],
    }
  }
  const yaml = readText(file, '--workflow')
  const name = basename(file)
  // What is left out is told when it is played.
  const workflow = await readWorkflow(name, yaml, () => {})
  const listens = workflow.on.repository_dispatch
  if (!listens) {
    const events = Object.keys(workflow.on).join(', ')
    throw new Error(
      `${name} listens to ${events}, and the relay starts workflows by repository_dispatch: add it to "on".`,
    )
  }
  if (!usesOf(workflow).some(uses => isOurs(uses) || uses.startsWith('./'))) {
    throw new Error(
      `${name} does not use the action: no step has "uses: org/port-webhook-action@v1", under whatever owner.`,
    )
  }
  refuseOtherSystems(name, workflow)
  const path = fromHere(file)
  const root = /^(.*?)\/?\.github\/workflows\//.exec(path)?.[1] ?? dirname(path)
  return {
    name,
    yaml,
    file: path,
    root: resolve(root),
    workflow,
    types: [listens.types ?? []].flat().map(String),
  }
}

/** A trial is this machine with its bash and sh: what asks for more is told so before anything runs. */
function refuseOtherSystems(name: string, { jobs }: Workflow): void {
  for (const { id, container, shell: usual, steps } of jobs) {
    if (container !== null) {
      throw new Error(
        `Job ${id} of ${name} runs in a container, and a trial has none: its steps would run on this machine itself. ` +
          'To try it so all the same, take "container" out of a copy of the workflow.',
      )
    }
    for (const [index, { run, shell }] of steps.entries()) {
      const asked = shell ?? usual
      if (run === null || typeof asked !== 'string' || ['bash', 'sh'].includes(asked)) continue
      throw new Error(
        `Step ${index + 1} of job ${id} in ${name} runs in the shell "${asked}", and a trial has only bash and sh: call ` +
          'it from bash in a copy of the workflow, or take the step out.',
      )
    }
  }
}

/** All that stands behind `uses:` in a workflow. */
const usesOf = ({ jobs }: Workflow): string[] =>
  jobs.flatMap(job => [job.uses, ...job.steps.map(step => step.uses)]).filter(uses => uses !== null)

export const isOurs = (uses: string): boolean => /^[^/]+\/port-webhook-action@./.test(uses)
