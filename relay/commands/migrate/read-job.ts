import type { Node, Scalar, YAMLMap } from 'yaml'
import { namesPort, readPortScript } from './port-script.ts'
import { isPortAction, type ReadStep, type Report, readPortStep } from './port-step.ts'
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
  continueOnError: boolean
}

export interface Job {
  id: string
  line: number
  map: YAMLMap<Scalar, Node | null>
  if: string | null
  steps: JobStep[]
  /** The id of the action's step; null where the job has not got the action and needs none. */
  port: { id: string; isThere: boolean }
  needs: string[]
  isMatrix: boolean
  /** The workflow that it calls. */
  calls: string | null
}

/** The action that this project is, under any owner. */
const isAction = (uses: string) => /(^|\/)port-webhook-action@/.test(uses)

export function readJobs(root: unknown, edits: TextEdits, findings: Finding[]): Job[] {
  const jobs = mapOf(nodeAt(root, 'jobs'))
  return (jobs?.items ?? []).flatMap(({ key, value }) => {
    const map = mapOf(value)
    if (!map) return []
    const steps = (seqOf(nodeAt(map, 'steps'))?.items ?? []).flatMap(item => {
      const step = mapOf(item)
      return step ? [readStep(step, edits, findings)] : []
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
  if (own) return { id: own.id ?? 'port', isThere: true }
  return { id: steps.some(step => step.id === 'port') ? 'port-run' : 'port', isThere: false }
}

function readStep(map: JobStep['map'], edits: TextEdits, findings: Finding[]): JobStep {
  const step: JobStep = {
    map,
    id: textOf(nodeAt(map, 'id')),
    if: textOf(nodeAt(map, 'if')),
    fate: 'stays',
    reports: [],
    continueOnError: textOf(nodeAt(map, 'continue-on-error')) === 'true',
  }
  const todo = (message: string, at: Node | Scalar = map) =>
    findings.push({ line: edits.lineOf(startOf(at)), level: 'todo', message })
  const uses = textOf(nodeAt(map, 'uses'))
  const run = textOf(nodeAt(map, 'run'))
  let read: ReadStep | { token: true } | null = null
  if (uses !== null && isPortAction(uses)) read = readPortStep(textsOf(nodeAt(map, 'with')))
  else if (run !== null) read = readPortScript(run, namedTexts(nodeAt(map, 'env')))
  // It takes entities from elsewhere, and has no run in Port.
  else if (uses !== null && /^port-labs\/ocean-sail@/i.test(uses)) return step
  else if (uses !== null && namesPort([...textsOf(nodeAt(map, 'with')).values()].join('\n')))
    todo(`${uses} calls Port’s API: the step stays; let $PORT_LOG, $PORT_RUN or $PORT_ENTITIES replace it.`)
  else if (uses !== null && /^port-labs\//i.test(uses))
    todo(`${uses} reports to Port by itself: the step stays, with the credentials of its own.`)
  if (read === null) return step
  if ('token' in read) step.fate = 'token'
  else if ('problem' in read) todo(read.problem)
  else if (edits.text.slice(startOf(map)).startsWith('*')) todo('the step is an alias: it stays.')
  else {
    step.fate = 'reports'
    step.reports = read.reports
  }
  return step
}

/** Names in the case that they have: variables are compared exactly. */
function namedTexts(node: Node | null): Map<string, string> {
  return new Map(
    (mapOf(node)?.items ?? []).flatMap(({ key, value }) => {
      const text = textOf(value)
      return text === null ? [] : [[String(key.value), text] as const]
    }),
  )
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
