import { basename, dirname, resolve } from 'node:path'
import { readWorkflow, type Workflow } from '../../test/support/player/read-workflow.ts'
import { fromHere, readText } from './read-text.ts'
import { refuseOtherSystems } from './refuse-other-systems.ts'

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
  /** The types of repository_dispatch that it listens to; empty for every type, null where it does not listen to it. */
  types: string[] | null
  /** The inputs that it declares for workflow_dispatch; null where it does not listen to it. */
  inputs: string[] | null
}

const DEFAULT = `
on: { repository_dispatch: }
permissions: { actions: read }
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
      root: fromHere('.'),
      workflow,
      types: [],
      inputs: null,
    }
  }
  const yaml = readText(file, '--workflow')
  const name = basename(file)
  // The player prints what is left out.
  const workflow = await readWorkflow(name, yaml, () => {})
  const { repository_dispatch: byType, workflow_dispatch: byInputs } = workflow.on
  if (!byType && !byInputs) {
    const events = Object.keys(workflow.on).join(', ')
    throw new Error(
      `${name} listens to ${events}, and the relay starts workflows by repository_dispatch or workflow_dispatch: add one to "on".`,
    )
  }
  if (!usesOf(workflow).some(uses => isOurs(uses) || uses.startsWith('./'))) {
    throw new Error(
      `${name} does not use the action: no step has "uses: org/port-webhook-action@v1", under whatever owner.`,
    )
  }
  const path = fromHere(file)
  const root = resolve(/^(.*?)\/?\.github\/workflows\//.exec(path)?.[1] ?? dirname(path))
  await refuseOtherSystems(name, workflow, { root, way: [path] })
  return {
    name,
    yaml,
    file: path,
    root,
    workflow,
    types: byType ? [byType.types ?? []].flat().map(String) : null,
    inputs: byInputs ? Object.keys(byInputs.inputs ?? {}) : null,
  }
}

/** All that stands behind `uses:` in a workflow. */
const usesOf = ({ jobs }: Workflow): string[] =>
  jobs.flatMap(job => [job.uses, ...job.steps.map(step => step.uses)]).filter(uses => uses !== null)

export const isOurs = (uses: string): boolean => /^[^/]+\/port-webhook-action@./.test(uses)
