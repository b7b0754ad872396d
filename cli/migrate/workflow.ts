import { parseDocument, stringify, visit } from 'yaml'
import {
  contextNotes,
  type Reads,
  readsOf,
  referencesIn,
  userFieldNotes,
} from '../../workflow-files/reads.ts'
import { Problem, type Report } from './read-step.ts'
import type { Job, Migrated, MigrateOptions, Step, Workflow } from './read-workflow.ts'
import { readWorkflow } from './read-workflow.ts'
import { forEnv, hasExpression, onlyExpression } from './template.ts'
import * as yaml from './yaml-nodes.ts'

/** Replaces steps that report to Port with steps that write to the action's files. `called`: the workflows that this one calls, by file name. */
export function migrateWorkflow(
  given: string,
  options: MigrateOptions,
  called: ReadonlyMap<string, Migrated> = new Map(),
): Migrated {
  const text = given.replaceAll('\r\n', '\n')
  const edits = new yaml.TextEdits(text)
  const remarks: Migrated['remarks'] = []
  const remark = (at: number, message: string) => {
    remarks.push({ line: edits.lineOf(at), message })
  }
  try {
    const workflow = readWorkflow(edits, options, called, remark)
    const reports = rewrite(workflow, options)
    if (!reports && remarks.length === 0) remark(0, 'no step reports to Port, so the workflow is unchanged.')
    const changed = edits.apply()
    noteUnused(workflow, changed)
    if (workflow.events.includes('workflow_dispatch'))
      for (const { line, note } of [
        // Missing keys aren't noted, because the migrated Port action keeps its own `port_context`.
        ...contextNotes('the workflow', { ...workflow.reads, missing: [] }),
        ...userFieldNotes(text),
      ])
        remarks.push({ line, message: note })
    remarks.sort((a, b) => a.line - b.line)
    const result = text === given ? changed : changed.replaceAll('\n', '\r\n')
    return { text: result, remarks, reports, refused: false }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    remarks.length = 0
    remark(error.at, `${error.message} The workflow stays as it is.`)
    return { text: given, remarks, reports: false, refused: true }
  }
}

/** @returns whether a job of the workflow, or of a workflow that it calls, now reports through the action */
function rewrite(workflow: Workflow, { action }: MigrateOptions): boolean {
  const { root, edits, jobs, events, remark } = workflow
  const busy = jobs.filter(({ steps }) => steps.some(step => step.reports))
  const affected = jobs.filter(job => busy.includes(job) || job.calls)
  const hadAction = jobs.some(job => job.hasAction)
  if (affected.length === 0) return hadAction
  const onKey = yaml.startOf(yaml.pairOf(root, 'on')!.key)
  visit(root, {
    Alias: (_, { range }) => {
      throw new Problem('The workflow uses YAML aliases: write out the aliased values.', range![0])
    },
  })
  if (busy.length > 0 && !events.some(event => PORTS_EVENT.test(event)))
    throw new Problem("Port can't start this workflow: add workflow_dispatch or repository_dispatch.", onKey)
  if (!hadAction) {
    if (events.includes('workflow_dispatch')) addPortInput(workflow)
    noteTriggers(workflow, onKey)
  }
  for (const { map, calls } of affected.filter(job => !job.hasAction)) {
    const added = addPermissions(root, map, calls ? requestedBy(calls.text) : new Map(), edits)
    const message = `the job had default permissions, and now has only ${added}: add the other permissions that its token needs.`
    if (added !== null) remark(yaml.startOf(map), message)
  }
  for (const job of busy) {
    if (!job.hasAction) insertAction(job, workflow, action)
    for (const step of job.steps) if (step.reports) writeStep(step, job, root, edits)
  }
  return true
}

/** Adds remarks about inputs that no step reads now, and about those that the relay doesn't fill now. */
function noteUnused({ root, edits, inputs, reads, remark }: Workflow, changed: string): void {
  const after = readsOf(changed, inputs)
  const isFilled = (name: string, by: Reads) => [...by.contexts, ...by.runIds].includes(name)
  const readIn = (text: string) =>
    referencesIn(text).map(({ root, path }) => `${root}.${path[0]}`.toLowerCase())
  const [before, now] = [readIn(edits.text), readIn(changed)]
  const keys = yaml.itemsOf(yaml.nodeAt(root, 'on', 'workflow_dispatch', 'inputs')).map(({ key }) => key)
  const isIn = (reads: string[], key: unknown) => reads.includes(`inputs.${key}`.toLowerCase())
  const isUnread = (key: unknown) => isIn(before, key) && !isIn(now, key)
  const [first, ...others] = after.properties === 'all' ? [] : keys.filter(isUnread)
  if (first)
    remark(yaml.startOf(first), `remove the inputs that no step reads now: ${[first, ...others].join(', ')}.`)
  for (const key of keys.filter(({ value }) => isFilled(String(value), reads) && !isUnread(value)))
    if (!isFilled(String(key.value), after))
      remark(
        yaml.startOf(key),
        `the relay doesn't fill ${key} now, because no step passes it to Port: send it from the Port action.`,
      )
}

const PORTS_EVENT = /^(workflow_(dispatch|call)|repository_dispatch)$/
const PORT = { description: 'What the relay sends', required: false, type: 'string' }

/** Declares the `workflow_dispatch` input `port`, in which the relay sends its payload. */
function addPortInput({ root, edits, events }: Workflow): void {
  const on = yaml.pairOf(root, 'on')!
  const dispatch = yaml.pairOf(on.value, 'workflow_dispatch')
  const inputs = yaml.pairOf(dispatch?.value, 'inputs')
  const own = yaml.pairOf(inputs?.value, 'port')
  const { type = 'string', required = 'false' } = Object.fromEntries(yaml.textsOf(own?.value))
  if (own && type === 'string' && required === 'false') return
  if (own)
    throw new Problem('The workflow has its own input "port": rename the input.', yaml.startOf(own.key))
  if (yaml.keysOf(inputs?.value).length > 24)
    throw new Problem(
      'The workflow has 25 inputs, which is the limit of GitHub: remove one to make room for "port".',
      yaml.startOf(on.key),
    )
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
  edits.replace(yaml.startOf(on.key), yaml.pairEnd(on, edits), lines.map(line => line.trimEnd()).join('\n'))
}

function noteTriggers({ events, edits, remark }: Workflow, onKey: number): void {
  const others = events.filter(event => !PORTS_EVENT.test(event))
  if (others.length > 0)
    remark(onKey, `for the events ${others.join(', ')}, the action doesn't run, so nothing is reported.`)
  if (events.includes('workflow_call'))
    remark(onKey, 'workflows that call this workflow need the input "port" and the permissions of its jobs.')
  for (const { 0: read, index } of edits.text.matchAll(/\bclient_payload\.(?!(run_id|action|port)\b)[\w-]+/g))
    remark(index, `the relay doesn't send ${read}: use workflow_dispatch, or read client_payload.port.`)
}

function insertAction(job: Job, { edits, events, finishes }: Workflow, action: string): void {
  const strict = job.steps.filter(({ map }) => yaml.textAt(map, 'continue-on-error') !== 'true')
  const writesEntities = strict.some(({ reports }) => reports?.some(({ kind }) => kind === 'entity'))
  const inputs = [
    ...(finishes ? ['report: updates'] : []),
    // An error fails the job, as it did in the replaced step.
    ...(writesEntities ? ['fail-on-report-error: true'] : []),
  ]
  const byOthers = events.some(event => !/^(workflow|repository)_dispatch$/.test(event))
  const lines = [
    `- uses: ${action}`,
    ...(byOthers ? ['  if: ${{ github.event.inputs.port || github.event.client_payload.port }}'] : []),
    ...(inputs.length > 0 ? ['  with:', ...inputs.map(line => `    ${line}`)] : []),
  ]
  const { key, value } = yaml.pairOf(job.map, 'steps')!
  const [first] = yaml.listItems(value)
  edits.insertLines(edits.nextLine(yaml.startOf(key)), edits.columnOf(first!.dash), lines)
}

type Permissions = Map<string, string>

const ALL =
  'actions attestations checks contents deployments discussions issues packages pages pull-requests security-events statuses'

/** For each write permission, the texts that show that a job probably needs it. */
const WRITES: Record<string, RegExp> = {
  contents: /git push|git-auto-commit|create-pull-request|gh[ -]release|gh-pages|gh pr merge|pulls\.merge/i,
  issues: /gh issue|issues\.|create-or-update-comment|issue-comment/i,
  packages: /ghcr\.io|npm publish/i,
  'pull-requests': /create-pull-request|gh pr |pulls\./i,
}

const permissionsOf = (permissions: unknown): Permissions => {
  const all = /^(read|write)-all$/.exec(yaml.textAt(permissions) ?? '')?.[1]
  return all ? new Map(ALL.split(' ').map(name => [name, all])) : yaml.textsOf(permissions)
}

function requestedBy(workflow: string): Permissions {
  const root = parseDocument(workflow).contents
  const requested: Permissions = new Map()
  for (const { value: job } of yaml.itemsOf(yaml.nodeAt(root, 'jobs')))
    for (const [name, level] of permissionsOf(
      yaml.nodeAt(job, 'permissions') ?? yaml.nodeAt(root, 'permissions'),
    ))
      if (requested.get(name) !== 'write') requested.set(name, level)
  return requested
}

/** Adds the action's permissions. @returns the added permissions if the job had the default permissions; null otherwise */
function addPermissions(
  root: unknown,
  job: yaml.Mapping,
  more: Permissions,
  edits: yaml.TextEdits,
): string | null {
  const needed = new Map([['actions', 'read'], ['id-token', 'write'], ...more])
  const own = yaml.pairOf(job, 'permissions')
  const pair = own ?? yaml.pairOf(root, 'permissions')
  const given = pair ? permissionsOf(pair.value) : new Map([['contents', 'read']])
  const missing = [...needed].filter(([name, level]) => ![level, 'write'].includes(given.get(name) ?? ''))
  if (pair && (missing.length === 0 || yaml.textAt(pair.value) === 'write-all')) return null
  const toLines = (all: Iterable<[string, string]>) => [...all].map(([name, level]) => `${name}: ${level}`)
  const isNew = missing.every(([name]) => !yaml.pairOf(own?.value, name))
  if (own && isNew && yaml.keysOf(own.value).length > 0 && !yaml.isFlow(own.value)) {
    yaml.addLines(own, toLines(missing), edits)
    return null
  }
  const all = new Map([...given, ...missing])
  const text = edits.text.slice(job.range![0], job.range![1])
  for (const [name, pattern] of Object.entries(WRITES))
    if (!pair && pattern.test(text)) all.set(name, 'write')
  const names = toLines(all).sort()
  const before = own ?? yaml.pairOf(job, 'runs-on') ?? yaml.pairOf(job, 'uses')!
  const column = edits.columnOf(yaml.startOf(before.key))
  const lines = ['permissions:', ...names.map(line => `  ${line}`)]
  if (own)
    edits.replace(yaml.startOf(own.key), yaml.pairEnd(own, edits), lines.join(`\n${' '.repeat(column)}`))
  else edits.insertLines(yaml.afterPair(before, edits), column, lines)
  return pair ? null : names.join(', ')
}

/** Turns a step with reports into a `run:`. Removes a step without reports. */
function writeStep({ map, dash, reports }: Step, job: Job, root: unknown, edits: yaml.TextEdits): void {
  if (reports!.length === 0) {
    let end = yaml.afterPair(map.items.at(-1)!, edits)
    while (end < edits.text.length && edits.text.slice(end, edits.nextLine(end)).trim() === '')
      end = edits.nextLine(end)
    edits.replace(edits.lineStart(dash), end, '')
    return
  }
  // The step keeps its variables, because its condition may read them.
  const own = yaml
    .itemsOf(yaml.nodeAt(map, 'env'))
    .map(({ key, value }) => [String(key.value), yaml.textAt(value) ?? ''])
  const [first, ...others] = map.items.filter(({ key }) => /^(uses|with|env)$/.test(String(key.value)))
  const text = stringify({ ...shellOf(job, root), ...reportLines(reports!, own) }, { lineWidth: 0 }).trimEnd()
  const pad = `\n${' '.repeat(edits.columnOf(yaml.startOf(map)))}`
  const end = yaml.pairEnd(first!, edits)
  const [comment] = /^[ \t]+#.*|/.exec(edits.text.slice(end))!
  edits.replace(yaml.startOf(first!.key), end + comment.length, text.replace(/\n(?=.)/g, pad))
  for (const pair of others)
    edits.replace(edits.lineStart(yaml.startOf(pair.key)), yaml.afterPair(pair, edits), '')
}

/** Returns the shell and the folder to set on the step if the author's `defaults` would break it. */
function shellOf(job: Job, root: unknown): { shell?: string; 'working-directory'?: string } {
  const defaults = [root, job.map].map(each => yaml.textsOf(yaml.nodeAt(each, 'defaults', 'run')))
  const shell = defaults.map(each => each.get('shell')).findLast(each => each !== undefined)
  const runsOn = yaml.nodeAt(job.map, 'runs-on')
  const labels = yaml.textList(yaml.mapOf(runsOn) ? yaml.nodeAt(runsOn, 'labels') : runsOn)
  // On Windows, the default shell is PowerShell. A job in a container runs on Linux, but its image may lack bash.
  const isUnix =
    yaml.nodeAt(job.map, 'container') || labels.some(label => /^(ubuntu|macos|linux)/i.test(label))
  return {
    ...((shell === undefined ? !isUnix : !/^(bash|sh)\b/.test(shell)) && { shell: 'bash' }),
    ...(defaults.some(each => each.has('working-directory')) && { 'working-directory': '.' }),
  }
}

/** Returns `env` and `run` that append reports to the action's files. The script reads all values from `env`. */
function reportLines(reports: Report[], own: string[][]): { env?: Record<string, string>; run: string } {
  const env: Record<string, string> = Object.fromEntries(own)
  const lines = reports.map(({ kind, text }) => {
    const conclude = `echo conclusion=failure >> ${file('PORT_RUN')}`
    if (kind === 'conclusion' && !hasExpression(text)) return conclude
    const base = kind === 'log' ? 'MESSAGE' : kind.toUpperCase().replace('-', '_')
    const count = Object.keys(env).filter(name => name.replace(/_\d+$/, '') === base).length
    const name = count === 0 ? base : `${base}_${count + 1}`
    env[name] = kind === 'entity' ? text : forEnv(text)
    if (kind === 'conclusion') return `[ "$${name}" != FAILURE ] || ${conclude}`
    return reportLine(kind, name, onlyExpression(text) !== null)
  })
  return { ...(Object.keys(env).length > 0 && { env }), run: `${lines.join('\n')}\n` }
}

/** The shell's expression for the path of the action's file; /dev/null if Port didn't start the workflow run. */
const file = (name: string): string => `"\${${name}:-/dev/null}"`

function reportLine(kind: Report['kind'], name: string, mayBeEmpty: boolean): string {
  if (kind === 'log') return `printf '%s\\n' "$${name}" >> ${file('PORT_LOG')}`
  if (kind === 'entity') return `{ ${onOneLine('%s', name)}; } >> ${file('PORT_ENTITIES')}`
  const unlessEmpty = mayBeEmpty ? `[ -z "$${name}" ] || ` : ''
  // The delimiter is unpredictable for a user who enters the value.
  const end = 'END="end-$GITHUB_RUN_ID-$(date +%s)-$$"'
  const summary = `${end}; printf 'summary<<%s\\n%s\\n%s\\n' "$END" "$${name}" "$END"`
  const entry = kind === 'summary' ? summary : onOneLine(`${kind}=%s`, name)
  return `${unlessEmpty}{ ${entry}; } >> ${file('PORT_RUN')}`
}

/** Removes line breaks, because a line break would start a new entry. */
const onOneLine = (format: string, name: string): string =>
  `printf '${format}' "$${name}" | tr -d '\\r\\n'; echo`
