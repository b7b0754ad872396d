import type { Node, Scalar, YAMLMap } from 'yaml'
import { inlineEnv } from './inline-env.ts'
import type { Names } from './map-expression.ts'
import { exportedTo, isOwnRunId, type Scope } from './own-run.ts'
import { namesPort, readPortScript } from './port-script.ts'
import { type Credentials, isPortAction, type ReadStep, type Report, readPortStep } from './port-step.ts'
import type { TextEdits } from './text-edits.ts'
import type { Finding } from './types.ts'
import { mapOf, nodeAt, pairOf, seqOf, startOf, textList, textOf, textsOf } from './yaml-nodes.ts'

/** What becomes of a step: it stays, or is a report, or only gets a token for reports. */
type StepFate = 'stays' | 'reports' | 'token'

export interface JobStep {
  map: YAMLMap<Scalar, Node | null>
  id: string | null
  if: string | null
  fate: StepFate
  reports: Report[]
  credentials: Credentials | null
  continueOnError: boolean
  /** It stays, and the run in Port may be ended by it. */
  mayEnd: boolean
}

export interface Job {
  id: string
  line: number
  map: YAMLMap<Scalar, Node | null>
  if: string | null
  steps: JobStep[]
  /** The id of the action's step, and that step where the job has it already. */
  port: { id: string; step: JobStep | null }
  needs: string[]
  isMatrix: boolean
  /** The workflow that it calls. */
  calls: string | null
}

/** The action that this project is, under any owner. */
const isAction = (uses: string) => /(^|\/)port-webhook-action@/.test(uses)

/** Whether any job of a workflow has the action. */
export const hasAction = (root: unknown): boolean =>
  (mapOf(nodeAt(root, 'jobs'))?.items ?? [])
    .flatMap(({ value: job }) => seqOf(nodeAt(job, 'steps'))?.items ?? [])
    .some(step => isAction(textOf(nodeAt(step, 'uses')) ?? ''))

export function readJobs(root: unknown, names: Names, edits: TextEdits, findings: Finding[]): Job[] {
  const jobs = mapOf(nodeAt(root, 'jobs'))
  return (jobs?.items ?? []).flatMap(({ key, value }) => {
    const map = mapOf(value)
    if (!map) return []
    const steps = (seqOf(nodeAt(map, 'steps'))?.items ?? []).flatMap(item => {
      const step = mapOf(item)
      return step ? [readStep(step, { root, job: map, step }, names, edits, findings)] : []
    })
    keepTokens(steps, edits)
    return [
      {
        id: String(key.value),
        line: edits.lineOf(startOf(key)),
        map,
        if: textOf(nodeAt(map, 'if')),
        steps,
        port: portStep(steps),
        needs: textList(nodeAt(map, 'needs')),
        isMatrix: pairOf(nodeAt(map, 'strategy'), 'matrix') !== undefined,
        calls: textOf(nodeAt(map, 'uses')),
      },
    ]
  })
}

function portStep(steps: JobStep[]): Job['port'] {
  const own = steps.find(step => isAction(textOf(nodeAt(step.map, 'uses')) ?? ''))
  const free = steps.some(step => step.id === 'port') ? 'port-run' : 'port'
  return { id: own?.id ?? free, step: own ?? null }
}

function readStep(
  map: JobStep['map'],
  scope: Scope,
  names: Names,
  edits: TextEdits,
  findings: Finding[],
): JobStep {
  const step: JobStep = {
    map,
    id: textOf(nodeAt(map, 'id')),
    if: textOf(nodeAt(map, 'if')),
    fate: 'stays',
    reports: [],
    credentials: null,
    continueOnError: textOf(nodeAt(map, 'continue-on-error')) === 'true',
    mayEnd: false,
  }
  const todo = (message: string, level: Finding['level'] = 'todo') => {
    findings.push({ line: edits.lineOf(startOf(map)), level, message })
  }
  const ends: typeof todo = (...said) => {
    step.mayEnd = true
    todo(...said)
  }
  const uses = textOf(nodeAt(map, 'uses'))
  const run = textOf(nodeAt(map, 'run'))
  const env = textsOf(nodeAt(map, 'env'))
  const given = new Map([...textsOf(nodeAt(map, 'with'))].map(([name, text]) => [name, inlineEnv(text, env)]))
  const said = [run ?? '', ...given.values(), ...env.values()].join('\n')
  const isOfRuns = /\bruns\b/.test(said)
  const isPorts = !names.hasOtherEvents && !(names.isCalled && names.contexts.size + names.runIds.size === 0)
  const isOwn = (template: string) => (template === '' ? isPorts : isOwnRunId(template, scope, names))
  let read: ReadStep | { token: Credentials | null } | null = null
  if (uses !== null && isPortAction(uses)) {
    read = readPortStep(given, isOwn)
    const [id, secret] = [given.get('clientid'), given.get('clientsecret')]
    if (id && secret)
      step.credentials = { id: id.trim(), secret: secret.trim(), url: (given.get('baseurl') ?? '').trim() }
  } else if (run !== null) read = readPortScript(inlineEnv(run, env), variablesOf(scope, env), isOwn)
  // It takes entities from elsewhere, and has no run in Port.
  else if (uses !== null && /^port-labs\/ocean-sail@/i.test(uses)) return step
  else if (
    uses?.startsWith('./') &&
    [...given.values()].some(text => isPortSecret(text) || isOwnRunId(text, scope, names))
  )
    ends(`${uses} is handed the run or a secret of Port: look whether it reports to Port too.`, 'check')
  else if (uses !== null && namesPort(said))
    (isOfRuns ? ends : todo)(
      `${uses} calls Port’s API: the step stays; let $PORT_LOG, $PORT_RUN or $PORT_ENTITIES replace it.`,
    )
  else if (uses !== null && /^port-labs\//i.test(uses))
    ends(`${uses} reports to Port by itself: the step stays, with the credentials of its own.`)
  if (read === null) return step
  if ('token' in read) {
    step.fate = 'token'
    step.credentials = read.token
  } else if ('problem' in read) {
    const isEnd = run === null ? (given.get('status') ?? '') !== '' : isOfRuns
    ;(isEnd ? ends : todo)(read.problem)
  } else {
    step.fate = 'reports'
    step.reports = read.reports
  }
  return step
}

const isPortSecret = (text: string) => /\bsecrets\.port_/i.test(text)

/** The variables of a script by their names, with what they hold: for those of job and workflow, a reference. */
function variablesOf({ root, job, step }: Scope, own: Map<string, string>): Map<string, string> {
  const variables = new Map(exportedTo(step, job).map(name => [name, `\${{ env.${name} }}`]))
  for (const owner of [root, job, step]) {
    for (const { key } of mapOf(nodeAt(owner, 'env'))?.items ?? []) {
      const name = String(key.value)
      const reference = `\${{ env.${name} }}`
      variables.set(name, owner === step ? (own.get(name.toLowerCase()) ?? reference) : reference)
    }
  }
  return variables
}

/** A token that a step which stays still uses is got as before. */
function keepTokens(steps: JobStep[], edits: TextEdits): void {
  const left = steps
    .filter(step => step.fate === 'stays')
    .map(({ map }) => edits.text.slice(map.range![0], map.range![1]))
    .join('\n')
  for (const step of steps) {
    if (step.fate !== 'token') continue
    const script = textOf(nodeAt(step.map, 'run')) ?? ''
    const names = [...script.matchAll(/["'\s]([A-Za-z_]\w*)=\$/g)].map(([, name]) => name!)
    const isRead = names.some(name =>
      new RegExp(String.raw`(env\.|\$\{?|steps\.[\w-]+\.outputs\.)${name}\b`).test(left),
    )
    if (isRead || (step.id !== null && left.includes(`steps.${step.id}.`))) step.fate = 'stays'
  }
}
