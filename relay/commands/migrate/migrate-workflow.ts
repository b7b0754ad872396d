import { stringify, visit } from 'yaml'
import { addPermissions, requestedBy } from './permissions.ts'
import { Problem } from './read-step.ts'
import { type Job, type Migrated, type MigrateOptions, readWorkflow, type Workflow } from './read-workflow.ts'
import { TextEdits } from './text-edits.ts'
import { writeStep } from './write-step.ts'
import * as yaml from './yaml-nodes.ts'
import { pairOf, startOf, textAt } from './yaml-nodes.ts'

/**
 * Replaces the steps that report to Port by hand with lines for the files of the action, which becomes the first step of
 * their jobs. Everything else keeps its text.
 *
 * @param called what became of the workflows that it may call, by file name
 */
export function migrateWorkflow(
  given: string,
  options: MigrateOptions,
  called: ReadonlyMap<string, Migrated> = new Map(),
): Migrated {
  const text = given.replaceAll('\r\n', '\n')
  const edits = new TextEdits(text)
  const remarks: Migrated['remarks'] = []
  const remark = (at: number, message: string) => {
    remarks.push({ line: text.slice(0, at).split('\n').length, message })
  }
  try {
    const reports = rewrite(readWorkflow(edits, options, called, remark), options)
    if (!reports && remarks.length === 0) remark(0, 'nothing in it reports to Port: it stays as it is.')
    remarks.sort((a, b) => a.line - b.line)
    const changed = edits.apply()
    const result = text === given ? changed : changed.replaceAll('\n', '\r\n')
    return { text: result, remarks, reports, refused: false }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    remarks.length = 0
    remark(error.at, `${error.message} The workflow stays as it is.`)
    return { text: given, remarks, reports: false, refused: true }
  }
}

/** @returns whether its jobs, or those that they call, report by the action now */
function rewrite(workflow: Workflow, { action }: MigrateOptions): boolean {
  const { root, edits, jobs, events, remark } = workflow
  const busy = jobs.filter(({ steps }) => steps.some(step => step.reports))
  const affected = jobs.filter(job => busy.includes(job) || job.calls)
  const hadAction = jobs.some(job => job.hasAction)
  if (affected.length === 0) return hadAction
  const onKey = startOf(pairOf(root, 'on')!.key)
  visit(root, {
    Alias: (_, { range }) => {
      throw new Problem('It uses YAML aliases: write them out.', range![0])
    },
  })
  if (busy.length > 0 && !events.some(event => PORTS_EVENT.test(event)))
    throw new Problem("Port can't start it: it has neither workflow_dispatch nor repository_dispatch.", onKey)
  if (!hadAction) {
    if (events.includes('workflow_dispatch')) addPortInput(workflow)
    noteTriggers(workflow, onKey)
  }
  for (const { map, calls } of affected.filter(job => !job.hasAction)) {
    const added = addPermissions(root, map, calls ? requestedBy(calls.text) : new Map(), edits)
    const message = `the job had default permissions, and now has only ${added}: add what else its token needs.`
    if (added !== null) remark(startOf(map), message)
  }
  for (const job of busy) {
    if (!job.hasAction) insertAction(job, workflow, action)
    for (const step of job.steps) if (step.reports) writeStep(step, job, root, edits)
  }
  return true
}

const PORTS_EVENT = /^(workflow_(dispatch|call)|repository_dispatch)$/
const PORT = { description: 'What the relay sends', required: false, type: 'string' }

/** Declares the input `port` of a `workflow_dispatch`, in which the relay sends its payload. */
function addPortInput({ root, edits, events }: Workflow): void {
  const on = pairOf(root, 'on')!
  const dispatch = pairOf(on.value, 'workflow_dispatch')
  const inputs = pairOf(dispatch?.value, 'inputs')
  const own = pairOf(inputs?.value, 'port')
  const { type = 'string', required = 'false' } = Object.fromEntries(yaml.textsOf(own?.value))
  if (own && type === 'string' && required === 'false') return
  if (own) throw new Problem('It has an input "port" of its own: rename it.', startOf(own.key))
  if (yaml.keysOf(inputs?.value).length > 24)
    throw new Problem('It has 25 inputs, as many as GitHub allows: "port" needs room.', startOf(on.key))
  const added = stringify({ port: PORT }).trimEnd().split('\n')
  const isBlock = (node: unknown) => node === null || (yaml.keysOf(node).length > 0 && !yaml.isFlow(node))
  if (dispatch && !yaml.isFlow(on.value) && isBlock(dispatch.value) && (!inputs || isBlock(inputs.value))) {
    if (inputs) yaml.addLines(inputs, added, edits)
    else yaml.addLines(dispatch, ['inputs:', ...added.map(line => `  ${line}`)], edits)
    return
  }
  const given = yaml.mapOf(on.value)?.toJSON() ?? {}
  const all = Object.fromEntries(events.map(name => [name, given[name] ?? null]))
  const others = all.workflow_dispatch?.inputs
  all.workflow_dispatch = { ...all.workflow_dispatch, inputs: { ...others, port: PORT } }
  const lines = stringify({ on: all }, { nullStr: '', lineWidth: 0 }).trimEnd().split('\n')
  edits.replace(startOf(on.key), yaml.pairEnd(on, edits), lines.map(line => line.trimEnd()).join('\n'))
}

function noteTriggers({ events, edits, remark }: Workflow, onKey: number): void {
  const others = events.filter(event => !PORTS_EVENT.test(event))
  if (others.length > 0)
    remark(onKey, `the action doesn't run, and nothing is reported, on ${others.join(', ')}.`)
  if (events.includes('workflow_call'))
    remark(onKey, 'what calls it needs the input "port" and the permissions of its jobs.')
  for (const { 0: read, index } of edits.text.matchAll(/\bclient_payload\.(?!(run_id|action|port)\b)[\w-]+/g))
    remark(index, `the relay doesn't send ${read}: use workflow_dispatch, or read client_payload.port.`)
}

function insertAction(job: Job, { edits, events, report }: Workflow, action: string): void {
  const strict = job.steps.filter(({ map }) => textAt(map, 'continue-on-error') !== 'true')
  const writesEntities = strict.some(({ reports }) => reports?.some(({ kind }) => kind === 'entity'))
  const inputs = [
    ...(report === 'job' ? [] : [`report: ${report}`]),
    // As the step did that is replaced.
    ...(writesEntities ? ['fail-on-report-error: true'] : []),
  ]
  const byOthers = events.some(event => !/^(workflow|repository)_dispatch$/.test(event))
  const lines = [
    `- uses: ${action}`,
    ...(byOthers ? ['  if: ${{ github.event.inputs.port || github.event.client_payload.port }}'] : []),
    ...(inputs.length > 0 ? ['  with:', ...inputs.map(line => `    ${line}`)] : []),
  ]
  const key = pairOf(job.map, 'steps')!.key
  edits.insertLines(edits.nextLine(startOf(key)), edits.columnOf(job.steps[0]!.dash), lines)
}
