import type { Step } from '@actions/workflow-parser/model/workflow-template'
import { onOneLine, parseWorkflow } from './parser.ts'
import { Expression, Place, refuse, refuseOtherKeys, type Template, toTemplate } from './template.ts'

type Mapping = { [key: string]: Template }

export type WorkflowStep = {
  /** The name in `GITHUB_ACTION` and, if the author set an id, in `steps.<id>`. */
  id: string
  named: boolean
  if: Expression
  uses: string | null
  run: Template
  name: Template
  with: Mapping
  env: Mapping
  shell: Template
  workingDirectory: Template
  continueOnError: Template
  timeoutMinutes: Template
  background: boolean
  /** Waits for these steps in the background, or cancels them. Null: waits for all steps in the background. */
  control: { kind: 'wait' | 'cancel'; steps: WorkflowStep[] | null } | null
}

export type WorkflowJob = {
  id: string
  name: Template
  needs: string[]
  if: Expression
  strategy: Mapping
  timeoutMinutes: Template
  continueOnError: Template
  env: Mapping
  outputs: Mapping
  permissions: Template
  /** The container. The simulator doesn't run jobs with a container. */
  container: Template
  shell: Template
  workingDirectory: Template
  steps: WorkflowStep[]
  /** A reusable workflow from the same repository, with its inputs and secrets. */
  uses: string | null
  with: Mapping
  secrets: Mapping | 'inherit'
}

export type Workflow = {
  /** As in `github.workflow`: the name, or the file's path. */
  name: string
  runName: Template
  /** Events by name, with the author's settings. */
  on: { [event: string]: Mapping }
  env: Mapping
  jobs: WorkflowJob[]
}

const rootKeys = 'on name description run-name defaults env permissions concurrency jobs'.split(' ')
const jobKeys = (
  'name needs if strategy runs-on timeout-minutes continue-on-error env permissions concurrency outputs ' +
  'container defaults steps uses with secrets'
).split(' ')
const jobKeysLeftOut = ['environment', 'services']
const stepKeys = (
  'name id if continue-on-error timeout-minutes uses with env run working-directory shell ' +
  'background wait wait-all cancel parallel'
).split(' ')

/** Whether `uses:` names a path in the workflow's repository: `./PATH`, or `$/PATH`, which needs no checkout. */
export const isLocal = (uses: string): boolean => /^[.$]\//.test(uses)

const mapping = (value: Template | undefined) => (value ?? {}) as Mapping

/**
 * Reads a workflow for the simulator.
 *
 * Throws an error with all messages of GitHub's parser if the workflow is invalid, or with the first key that the
 * simulator doesn't support.
 *
 * @param leaveOut called with each omitted item, as in {@link RunOptions}
 */
export async function readWorkflow(
  name: string,
  content: string,
  leaveOut: (what: string) => void = refuse,
): Promise<Workflow> {
  const { errors } = await parseWorkflow(name, content)
  if (errors.length > 0) throw new Error(`GitHub's parser refuses ${name}:\n${errors.join('\n')}`)
  const { root, converted } = await parseWorkflow(name, onOneLine(content))
  const file = new Place(name, content)
  const raw = mapping(toTemplate(root!, file))
  refuseOtherKeys(raw, rootKeys, name)
  return {
    name: (raw.name as string | undefined) ?? name,
    runName: raw['run-name'] ?? null,
    on: readEvents(raw.on!),
    env: mapping(raw.env),
    jobs: converted!.jobs.map(job => {
      const id = job.id.value
      const own = mapping(mapping(raw.jobs)[id])
      const place = file.inside('jobs').inside(id)
      for (const key of jobKeysLeftOut) if (key in own) leaveOut(`"${key}" in job ${id}`)
      refuseOtherKeys(own, [...jobKeys, ...jobKeysLeftOut], `job ${id}`)
      const defaults = { ...runDefaults(raw.defaults, name), ...runDefaults(own.defaults, `job ${id}`) }
      return {
        id,
        name: own.name ?? null,
        needs: (job.needs ?? []).map(need => need.value),
        if: condition(job.if.expression, own.if, place),
        strategy: mapping(own.strategy),
        timeoutMinutes: own['timeout-minutes'] ?? 360,
        continueOnError: own['continue-on-error'] ?? false,
        env: mapping(own.env),
        outputs: mapping(own.outputs),
        permissions: own.permissions ?? raw.permissions ?? null,
        container: own.container ?? null,
        shell: defaults.shell ?? null,
        workingDirectory: defaults['working-directory'] ?? null,
        steps:
          job.type === 'job'
            ? readSteps(job.steps, own.steps as Mapping[], place.inside('steps'), `job ${id}`)
            : [],
        uses: (own.uses as string | undefined) ?? null,
        with: mapping(own.with),
        secrets: own.secrets === 'inherit' ? 'inherit' : mapping(own.secrets),
      }
    }),
  }
}

/**
 * Combines the parser's steps, which have generated IDs and completed conditions, with the author's text. As on GitHub,
 * a `parallel` group becomes steps in the background, and a step that waits for them.
 */
export function readSteps(converted: Step[], raw: Mapping[], place: Place, at: string): WorkflowStep[] {
  const read: WorkflowStep[] = []
  for (const [index, step] of converted.entries()) {
    const own = mapping(raw[index])
    refuseOtherKeys(own, stepKeys, `${at}, step ${index + 1}`)
    const plain: WorkflowStep = {
      id: step.id,
      named: own.id !== undefined,
      if: condition(('if' in step && step.if?.expression) || 'success()', own.if, place.inside(index)),
      uses: (own.uses as string | undefined) ?? null,
      run: own.run ?? null,
      name: own.name ?? null,
      with: mapping(own.with),
      env: mapping(own.env),
      shell: own.shell ?? null,
      workingDirectory: own['working-directory'] ?? null,
      continueOnError: own['continue-on-error'] ?? false,
      timeoutMinutes: own['timeout-minutes'] ?? null,
      background: own.background === true,
      control: null,
    }
    const controls = (kind: 'wait' | 'cancel', steps: WorkflowStep[] | null) =>
      read.push({ ...plain, name: own.name ?? step.name!.toString(), control: { kind, steps } })
    const named = (ids: Template | undefined) =>
      [ids ?? []].flat().flatMap(id => read.find(each => each.named && each.id === id) ?? [])
    if ('parallel' in step) {
      const group = readSteps(
        step.parallel,
        own.parallel as Mapping[],
        place.inside(index).inside('parallel'),
        at,
      )
      const background = group.map(each => ({ ...each, background: true }))
      read.push(...background)
      controls('wait', background)
    } else if ('wait' in step) controls('wait', named(own.wait))
    else if ('wait-all' in step) controls('wait', null)
    else if ('cancel' in step) controls('cancel', named(own.cancel))
    else read.push(plain)
  }
  return read
}

/** An `if:`, as completed by the parser and as written by the author. */
function condition(completed: string, own: Template | undefined, place: Place): Expression {
  const written = own instanceof Expression ? own.written : [String(own ?? completed)]
  return new Expression(completed, written, place.inside('if'))
}

function readEvents(on: Template): Workflow['on'] {
  if (typeof on === 'string') return { [on]: {} }
  if (Array.isArray(on)) return Object.fromEntries(on.map(event => [event as string, {}]))
  return Object.fromEntries(
    Object.entries(mapping(on)).map(([event, settings]) => [event, mapping(settings)]),
  )
}

function runDefaults(defaults: Template | undefined, at: string): Mapping {
  refuseOtherKeys(mapping(defaults), ['run'], `defaults of ${at}`)
  const run = mapping(mapping(defaults).run)
  refuseOtherKeys(run, ['shell', 'working-directory'], `defaults.run of ${at}`)
  return run
}
