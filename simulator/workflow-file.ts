import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { nearestName } from '../workflow-files/nearest-name.ts'
import { fromHere, readText } from './event.ts'
import { readAction } from './runner/read-action.ts'
import {
  isLocal,
  readWorkflow,
  type Workflow,
  type WorkflowJob,
  type WorkflowStep,
} from './runner/read-workflow.ts'
import { Expression, type Template } from './runner/template.ts'
import type { SimulatedRun } from './runner/types.ts'

/** The workflow to simulate, and its triggers. */
export interface SimulationWorkflow {
  /** The workflow's name in messages. */
  name: string
  yaml: string
  /** The path; null for the default workflow, without `--workflow`. */
  file: string | null
  /** The folder with `.github`, which `uses: ./…` and `uses: $/…` are relative to. */
  root: string
  workflow: Workflow
  /** The repository_dispatch types; empty for every type, null if the workflow has no such trigger. */
  types: string[] | null
  /** The workflow_dispatch inputs; null if the workflow has no such trigger. */
  inputs: string[] | null
}

const DEFAULT = `
on: { repository_dispatch: }
permissions: { actions: read }
jobs:
  simulation:
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
 * Reads the `--workflow` file. Without a file, returns a job that prints the action's outputs.
 *
 * @throws Error with GitHub's messages about an invalid file, or with the reason why the action wouldn't run
 */
export async function readSimulatedWorkflow(file: string | undefined): Promise<SimulationWorkflow> {
  if (file === undefined) {
    const workflow = await readWorkflow('simulation.yml', DEFAULT)
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
  // The simulator prints what it omits.
  const workflow = await readWorkflow(name, yaml, () => {})
  const { repository_dispatch: byType, workflow_dispatch: byInputs } = workflow.on
  if (!byType && !byInputs) {
    const events = Object.keys(workflow.on).join(', ')
    throw new Error(
      `${name} listens to ${events}, but the relay starts workflows by repository_dispatch or workflow_dispatch: add either event to "on".`,
    )
  }
  if (!usesOf(workflow).some(uses => isOurs(uses) || isLocal(uses))) {
    throw new Error(`${name} doesn't use the action: no step has "uses: OWNER/port-webhook-action@v1".`)
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

/** Returns every `uses:` value in a workflow. */
const usesOf = ({ jobs }: Workflow): string[] =>
  jobs.flatMap(job => [job.uses, ...job.steps.map(step => step.uses)]).filter(uses => uses !== null)

export const isOurs = (uses: string): boolean => /^[^/]+\/port-webhook-action@./.test(uses)

interface Place {
  /** The folder that `uses: ./…` is relative to. */
  root: string
  /** The chain of files from the simulated workflow to this file. */
  way: string[]
}

/**
 * Refuses a workflow that needs a container, or a shell other than bash or sh, before anything runs. Also checks the
 * repository's reusable workflows and composite actions.
 *
 * @param name the workflow's name in messages
 * @throws Error with a message
 */
async function refuseOtherSystems(name: string, { jobs }: Workflow, place: Place): Promise<void> {
  for (const { id, container, shell, steps, uses } of jobs) {
    if (container !== null) {
      throw new Error(
        `Job ${id} of ${name} runs in a container, but a simulation has no containers: its steps would run directly on this ` +
          'machine. To run them there, remove "container" from a copy of the workflow.',
      )
    }
    await refuseShells(`job ${id} in ${name}`, steps, shell, place)
    if (uses && isLocal(uses)) await checkWorkflowFile(`Job ${id} of ${name}`, uses, place)
  }
}

async function checkWorkflowFile(caller: string, uses: string, place: Place): Promise<void> {
  const file = resolve(place.root, uses.slice(2))
  const inside = enter(caller, uses, file, place)
  if (!existsSync(file))
    throw new Error(`${caller} calls ${uses}, which doesn't exist in ${place.root}: correct its path.`)
  const name = uses.slice(2)
  // The simulator prints what it omits.
  const called = await readWorkflow(name, await readFile(file, 'utf8'), () => {})
  await refuseOtherSystems(name, called, inside)
}

/** @param usual the default shell */
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
        `Step ${index + 1} of ${of} runs in the shell "${asked}", but a simulation has only bash and sh: in ` +
          'a copy of the workflow, call that shell from bash, or remove the step.',
      )
    }
    if (uses && isLocal(uses)) await checkAction(`Step ${index + 1} of ${of}`, uses, place)
  }
}

async function checkAction(user: string, uses: string, place: Place): Promise<void> {
  const directory = resolve(place.root, uses.slice(2))
  const inside = enter(user, uses, directory, place)
  // A missing file is reported when it is read.
  if (!existsSync(join(directory, 'action.yml'))) return
  const { runs } = await readAction(directory)
  if (runs.using === 'composite') await refuseShells(uses, runs.steps, null, inside)
}

/** Enters a called file. Throws an error for a cycle: GitHub rejects cycles, and the simulator would never finish. */
function enter(user: string, uses: string, file: string, { root, way }: Place): Place {
  if (way.includes(file))
    throw new Error(`${user} uses ${uses}, which is already in this chain of calls: GitHub rejects cycles.`)
  return { root, way: [...way, file] }
}

/** Returns a message for each permission that jobs with the action lack on GitHub. */
export function missingPermissions({ name, workflow }: SimulationWorkflow): string[] {
  return workflow.jobs.flatMap(job => {
    const own = job.steps.find(({ uses }) => uses !== null && isOurs(uses))
    if (!own || own.with.report === 'off') return []
    const missing = [
      ...(own.with['port-client-secret'] === undefined && !has(job, 'id-token', ['write'])
        ? ['"id-token: write", without which it can\'t report through the relay']
        : []),
      ...(!has(job, 'actions', ['read', 'write'])
        ? ['"actions: read", without which Port doesn\'t show its steps']
        : []),
    ]
    return missing.map(permission => `Job ${job.id} of ${name} lacks the permission ${permission}.`)
  })
}

function has({ permissions }: WorkflowJob, name: string, levels: string[]): boolean {
  if (permissions === 'write-all') return true
  if (permissions === 'read-all') return levels.includes('read')
  if (typeof permissions !== 'object' || permissions === null || Array.isArray(permissions)) return false
  const given = (permissions as Record<string, Template>)[name]
  return typeof given === 'string' && levels.includes(given)
}

/** Returns a message for each output of an action that later steps read, but that this run didn't set. */
export function missingOutputs({ workflow }: SimulationWorkflow, { jobs }: SimulatedRun): string[] {
  return workflow.jobs.flatMap(job => {
    const own = job.steps.find(({ uses, named }) => named && uses !== null && isOurs(uses))
    const steps = jobs.filter(({ id }) => id === job.id).flatMap(({ steps }) => steps)
    const simulated = steps.find(
      ({ kind, conclusion, id }) => kind === 'main' && id === own?.id && conclusion === 'success',
    )
    if (!own || !simulated) return []
    const names = Object.keys(simulated.outputs)
    const read = new RegExp(`\\bsteps\\.${own.id}\\.outputs(?:\\.([\\w-]+)|\\['([^']+)'\\])`, 'g')
    const found = expressionsIn([job.steps, job.outputs, job.env].flat() as unknown as Template).flatMap(
      expression =>
        expression.written.flatMap(text =>
          [...text.matchAll(read)].map(([whole, plain, quoted]) => ({
            expression,
            whole,
            name: (plain ?? quoted)!,
          })),
        ),
    )
    const known = new Set(names.map(name => name.toLowerCase()))
    return [...Map.groupBy(found, ({ whole }) => whole).values()].flatMap(([first]) => {
      const { expression, whole, name } = first!
      if (known.has(name.toLowerCase())) return []
      const nearest = nearestName(name, names)
      const hint = nearest === null ? '' : ` Did you mean ${nearest}?`
      return [
        `${expression.place.positionOf(whole)}: ${whole} isn't an output in this run, so it is empty.${hint}`,
      ]
    })
  })
}

function expressionsIn(value: Template): Expression[] {
  if (value instanceof Expression) return [value]
  if (Array.isArray(value)) return value.flatMap(expressionsIn)
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(expressionsIn) : []
}
