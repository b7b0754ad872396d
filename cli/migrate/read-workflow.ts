import { isMap, parseDocument, type YAMLParseError } from 'yaml'
import { type Reads, readsOf } from '../../workflow-files/reads.ts'
import {
  type Facts,
  isOwnRunId,
  isPortAction,
  Problem,
  type Report,
  readPortStep,
  type Scope,
} from './read-step.ts'
import { hasExpression } from './template.ts'
import * as yaml from './yaml-nodes.ts'

export interface MigrateOptions {
  action: string
  /** Whether to keep log messages with fixed text, although the action logs the steps. */
  keepLogs: boolean
}

export interface Migrated {
  text: string
  /** Messages about what the author must check. Lines are numbered as in the original workflow. */
  remarks: { line: number; message: string }[]
  reports: boolean
  refused: boolean
}

export interface Step {
  map: yaml.Mapping
  dash: number
  /** The step's reports, except those that the action sends anyway; null if the step stays unchanged. */
  reports: Report[] | null
}

export interface Job {
  map: yaml.Mapping
  steps: Step[]
  hasAction: boolean
  /** The called workflow, if it reports to Port through the action. */
  calls: Migrated | null
}

export interface Workflow {
  root: yaml.Mapping
  edits: yaml.TextEdits
  events: string[]
  inputs: string[]
  reads: Reads
  jobs: Job[]
  /** Whether a step that stays unchanged may finish the Port run. */
  finishes: boolean
  remark: (at: number, message: string) => void
}

const textOf = ({ range }: yaml.Mapping, { text }: yaml.TextEdits) => text.slice(range![0], range![1])

export function readWorkflow(
  edits: yaml.TextEdits,
  { keepLogs }: MigrateOptions,
  called: ReadonlyMap<string, Migrated>,
  remark: Workflow['remark'],
): Workflow {
  const document = parseDocument(edits.text, { keepSourceTokens: true, logLevel: 'error' })
  const [error] = document.errors
  if (error) throw new Problem(yamlProblem(error), error.pos[0])
  const root = yaml.mapOf(document.contents)
  if (!root || !isMap(yaml.nodeAt(root, 'jobs')))
    throw new Problem("The file isn't a workflow: it has no jobs.")
  if (!yaml.pairOf(root, 'on')) throw noTriggers(root)
  const on = yaml.nodeAt(root, 'on')
  const events = isMap(on) ? yaml.keysOf(on) : yaml.textList(on)
  const inputs = ['workflow_dispatch', 'workflow_call'].flatMap(event =>
    yaml.keysOf(yaml.nodeAt(on, event, 'inputs')),
  )
  const maps = yaml.itemsOf(yaml.nodeAt(root, 'jobs')).flatMap(({ value }) => yaml.mapOf(value) ?? [])
  const jobs = maps.map(map => readJob(map, edits, called))
  const isAlone =
    maps.length === 1 && !yaml.nodeAt(maps[0], 'strategy', 'matrix') && !events.includes('workflow_call')
  const workflow: Workflow = {
    ...{ root, edits, events, inputs, jobs, remark, finishes: false },
    reads: readsOf(edits.text, inputs),
  }
  const others = noteOthers(workflow)
  const concludes = isAlone && !others && !readSteps({ ...workflow, remark: () => {} }, true, keepLogs)
  workflow.finishes = readSteps(workflow, concludes, keepLogs) || others
  return workflow
}

const yamlProblem = ({ code, message }: YAMLParseError): string =>
  code === 'MULTIPLE_DOCS'
    ? 'The file contains several YAML documents: remove the line "---" and all that follows it.'
    : `The file isn't YAML: ${message.split('\n')[0]}`

/** Tools for YAML 1.1 read the key `on` as a boolean, and write it as `true`. */
function noTriggers(root: yaml.Mapping): Problem {
  const wrong = root.items.find(({ key }) => /^(true|yes|y)$/i.test(String(key.value)))
  return wrong
    ? new Problem(
        `GitHub doesn't know the key "${wrong.key.source}": write "on:" instead.`,
        yaml.startOf(wrong.key),
      )
    : new Problem('The workflow has no triggers: add "on:".')
}

function readJob(map: yaml.Mapping, edits: yaml.TextEdits, called: ReadonlyMap<string, Migrated>): Job {
  const list = yaml.nodeAt(map, 'steps')
  const groups = yaml.listItems(list).map(step => yaml.nodeAt(step.map, 'parallel'))
  const isFlow = [map, list, ...groups].some(yaml.isFlow)
  if (isFlow && /port-github-action|[.$]\/\.github/.test(textOf(map, edits)))
    throw new Problem(
      'A job is in flow style: write its keys and steps on separate lines.',
      yaml.startOf(map),
    )
  const steps = yaml
    .listItems(list)
    .flatMap((step, index) => (groups[index] ? yaml.listItems(groups[index]) : [step]))
    .map(step => ({ ...step, reports: null }))
  const calls = called.get(
    /^[.$]\/\.github\/workflows\/([^/]+)$/.exec(yaml.textAt(map, 'uses') ?? '')?.[1] ?? '',
  )
  const hasAction = steps.some(step => /(^|\/)port-webhook-action@/.test(yaml.textAt(step.map, 'uses') ?? ''))
  return { map, steps, hasAction, calls: calls?.reports ? calls : null }
}

const PORT_API = /\bapi(\.us)?\.(getport|port)\.io\b/i
const reads = (line: string): boolean =>
  /operation:\s*["']?(GET|SEARCH)\b/i.test(line) || (PORT_API.test(line) && line.includes('entities'))

/** @returns whether a step that stays unchanged can finish the Port run */
function readSteps(workflow: Workflow, concludes: boolean, keepLogs: boolean): boolean {
  const { root, edits, events, inputs, jobs, remark } = workflow
  const { contexts } = workflow.reads
  const byPortOnly = events.every(event => /^(workflow|repository)_dispatch$/.test(event))
  let mayFinish = false
  for (const { map: job, steps } of jobs) {
    for (const [index, step] of steps.entries()) {
      const { map } = step
      if (!isPortAction(map)) continue
      const say = (message: string) => remark(yaml.startOf(map), message)
      const facts: Facts = {
        ...{ byPortOnly, concludes },
        isReferenced: new RegExp(`\\bsteps(\\.|\\[')${yaml.textAt(map, 'id')}\\b`).test(edits.text),
        isRead: edits.text.slice(map.range![1]).split('\n').some(reads),
        stepsFollow: steps.slice(index + 1).some(each => !isPortAction(each.map)),
      }
      try {
        if (yaml.isFlow(map)) throw new Problem('A step is in flow style: write its keys on separate lines.')
        const reports = readPortStep({ root, contexts, job, step: map }, facts, say)
        step.reports = keepLogs && reports.length > 0 ? reports : kept(reports, map, facts.isReferenced)
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        step.reports = null
        say(`${error.message} The step stays unchanged, and keeps its Port credentials.`)
        mayFinish ||= yaml.textsOf(yaml.nodeAt(map, 'with')).has('status')
      }
      if (step.reports?.some(({ kind }) => kind === 'entity')) noteOrder(steps.slice(index), job, workflow)
      for (const [, name] of step.reports?.length ? textOf(map, edits).matchAll(/\binputs\.([\w-]+)/g) : [])
        if (!inputs.includes(name!)) say(`the input "${name}" isn't declared, so it's empty here.`)
    }
  }
  return mayFinish
}

/** Adds a remark about the steps and jobs after a migrated entity, because a rejected entity no longer stops the job. */
function noteOrder([step, ...rest]: Step[], job: yaml.Mapping, { root, edits, remark }: Workflow): void {
  if (yaml.textAt(step!.map, 'continue-on-error') === 'true') return
  const own = rest.map(({ map }) => map).filter(map => !isPortAction(map))
  const name = yaml.itemsOf(yaml.nodeAt(root, 'jobs')).find(({ value }) => value === job)?.key.value
  const jobs = yaml.itemsOf(yaml.nodeAt(root, 'jobs')).flatMap(({ value }) => yaml.mapOf(value) ?? [])
  const next = jobs.filter(map => yaml.textList(yaml.nodeAt(map, 'needs')).includes(String(name)))
  const after = [...own, ...next].map(map => ({ map, condition: yaml.textAt(map, 'if') ?? '' }))
  const isOfFailure = ({ condition }: (typeof after)[number]) => /\bfailure\(\)/.test(condition)
  const lines = (found: typeof after) => found.map(({ map }) => `line ${edits.lineOf(yaml.startOf(map))}`)
  const now = lines(after.filter(each => !/\b(failure|always|cancelled)\(\)/.test(each.condition)))
  const notNow = lines(after.filter(isOfFailure))
  const changes = [
    now.length > 0 && `runs ${now.join(', ')}`,
    notNow.length > 0 && `skips ${notNow.join(', ')}`,
  ].filter(part => part !== false)
  if (changes.length > 0)
    remark(
      yaml.startOf(step!.map),
      `if Port rejects the entity, the job now continues: GitHub ${changes.join(', and ')}.`,
    )
}

/** Matches conditions that depend on nothing but the job's result. A log message with a matching condition is omitted, because the action logs the result. */
const PLAIN_CONDITION = /^(?:[\s!()|&]|\$\{\{|\}\}|\b(?:success|failure|always|cancelled)\s*\(\s*\))*$/

/** Omits log messages with fixed text, because the action logs the steps. */
function kept(reports: Report[], step: yaml.Mapping, isReferenced: boolean): Report[] {
  const isPlain = PLAIN_CONDITION.test(yaml.textAt(step, 'if') ?? '')
  const isFixed = ({ kind, text }: Report) => kind === 'log' && !hasExpression(text) && isPlain
  if (!reports.every(isFixed)) return reports
  // The step keeps a report if other steps check whether it ran.
  return isReferenced ? [reports[0] ?? { kind: 'log', text: yaml.textAt(step, 'name') ?? 'done' }] : []
}

/** Adds a remark for each step or job that calls Port without Port's action. @returns whether one of them can finish the Port run */
function noteOthers({ root, reads: { contexts }, edits, jobs, remark }: Workflow): boolean {
  let mayFinish = false
  for (const { map: job, steps, calls } of jobs) {
    for (const map of [job, ...steps.map(step => step.map)]) {
      const uses = yaml.textAt(map, 'uses') ?? ''
      const text = map === job ? '' : textOf(map, edits)
      // A secret such as PORT_GITHUB_TOKEN can be GitHub's token, and a checkout with it reports nothing to Port.
      const isOurs = /(^|\/)port-webhook-action@|^actions\/checkout@/.test(uses)
      const isHanded =
        uses !== '' && !isOurs && !(map === job && calls) && getsRun(map, { root, contexts, job, step: map })
      const isPorts = /^port-labs\/(?!ocean)/i.test(uses)
      if (isPortAction(map) || !(isHanded || isPorts || PORT_API.test(text))) continue
      const finishes = isHanded || isPorts || (/actions\/runs/i.test(text) && /status/i.test(text))
      mayFinish ||= finishes
      const what = finishes ? 'may finish the Port run, so the action sends only updates' : "calls Port's API"
      const instead = 'replace it with $PORT_LOG, $PORT_RUN and $PORT_ENTITIES'
      remark(yaml.startOf(map), `${uses || 'this script'} stays, and ${what}: ${instead}.`)
    }
  }
  return mayFinish
}

/** Whether an action or a called workflow gets the ID of the Port run, or a Port secret. */
const getsRun = (map: yaml.Mapping, scope: Scope): boolean =>
  ['with', 'secrets', 'env'].some(key =>
    [...yaml.textsOf(yaml.nodeAt(map, key)).values()].some(
      text =>
        /\bsecrets\.port_|inputs\.port_(context|payload)\b(?!\s*\))/i.test(text) || isOwnRunId(text, scope),
    ),
  )
