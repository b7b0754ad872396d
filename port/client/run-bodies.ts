import type { Conclusion, Json, JsonObject, LogLine, RunState, RunUpdate } from '../types.ts'
import { isObject } from '../types.ts'
import { PortError, type PortErrorKind } from './errors.ts'

/**
 * Sends an update. Cuts long texts. If Port or a gateway rejects the content, sends the update again without its label,
 * because Port accepts labels of node runs only since September 2026. An update with a conclusion is sent again with
 * fewer and fewer fields, until only the conclusion is left, so that the run doesn't stay in progress forever.
 * @throws PortError
 */
export async function sendUpdate(
  update: RunUpdate,
  send: (update: RunUpdate) => Promise<unknown>,
): Promise<void> {
  const shown = {
    ...update,
    ...(update.statusLabel !== undefined && { statusLabel: cutLabel(update.statusLabel) }),
    ...(update.summary !== undefined && { summary: cutSummary(update.summary) }),
  }
  const { conclusion, summary, output, job } = shown
  const kept = output && { output }
  const forms: RunUpdate[] = [shown]
  if (conclusion !== undefined) {
    const result = { conclusion, ...(job && { job }) }
    for (const less of [{ ...result, summary, ...kept }, { ...result, ...kept }, result]) {
      if (size(less) < size(forms.at(-1) as RunUpdate)) forms.push(less)
    }
  } else if (shown.statusLabel !== undefined && size(shown) > 1)
    forms.push({ ...shown, statusLabel: undefined })
  for (const [i, form] of forms.entries()) {
    try {
      await send(form)
      return
    } catch (error) {
      const ofContent =
        error instanceof PortError && KINDS.has(error.kind) && !error.ofToken && CONTENT.has(error.status)
      if (!ofContent || i === forms.length - 1) throw error
    }
  }
}

/** The maximum size of a summary as JSON. Reports through the relay have at most 256 KB, including 64 KB of outputs. */
const MOST_SUMMARY_BYTES = 180_000
/** The maximum length of a label, as in the relay. */
const MOST_LABEL = 1_000

const cutLabel = (label: string) =>
  label.length > MOST_LABEL ? `${label.slice(0, MOST_LABEL - 1).toWellFormed()}…` : label

export function cutSummary(summary: string): string {
  if (jsonBytes(summary) <= MOST_SUMMARY_BYTES) return summary
  const mark = `\n\n… (cut from ${summary.length} characters)`
  const most = MOST_SUMMARY_BYTES - jsonBytes(mark)
  let [least, end] = [0, most]
  while (least < end) {
    const middle = Math.ceil((least + end) / 2)
    if (jsonBytes(summary.slice(0, middle)) <= most) least = middle
    else end = middle - 1
  }
  return summary.slice(0, end).toWellFormed() + mark
}

const jsonBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text))

const KINDS = new Set<PortErrorKind>(['refused', 'unreachable'])
/** Statuses with which Port or a gateway rejects a body. */
const CONTENT = new Set<number | null>([400, 413, 422])

const size = (update: RunUpdate): number => Object.values(update).filter(value => value !== undefined).length

const BETTER_FIRST: Conclusion[] = ['success', 'cancelled', 'failure']

/** Returns the worst of these conclusions; `success` if there are none. */
export const worstOf = (conclusions: readonly (Conclusion | null | undefined)[]): Conclusion =>
  BETTER_FIRST.findLast(each => conclusions.includes(each)) ?? 'success'

/** Returns the body for `PATCH /v1/actions/runs/{id}`. A canceled run is reported as a failure with a label. */
export function actionRunBody(update: RunUpdate): JsonObject {
  const { conclusion, statusLabel, link, summary, externalRunId } = update
  const label = statusLabel ?? (conclusion === 'cancelled' ? 'Canceled' : undefined)
  return {
    ...(conclusion && { status: conclusion === 'success' ? 'SUCCESS' : 'FAILURE' }),
    ...(label !== undefined && { statusLabel: label }),
    ...(link && { link }),
    ...(summary !== undefined && { summary }),
    ...(externalRunId !== undefined && { externalRunId }),
  }
}

const RESULT = { success: 'SUCCESS', failure: 'FAILED', cancelled: 'CANCELLED' } as const

/**
 * Returns the body for `PATCH /v1/workflows/nodes/runs/{id}`. Node runs have no summary, so the summary is in `output`.
 * Each call replaces all fields, so a conclusion needs the outputs, the link, and the external run ID, too.
 */
export function nodeRunBody(update: RunUpdate): JsonObject {
  const { conclusion, statusLabel, link, summary, externalRunId } = update
  const output: JsonObject = {
    ...(link?.[0] && { workflowRunUrl: link[0] }),
    ...(externalRunId !== undefined && { workflowRunId: number(externalRunId) }),
    ...(summary !== undefined && { summary }),
    ...update.output,
  }
  return {
    status: conclusion ? 'COMPLETED' : 'IN_PROGRESS',
    ...(conclusion && { result: RESULT[conclusion] }),
    ...(Object.keys(output).length > 0 && { output }),
    ...(statusLabel !== undefined && { statusLabel }),
    ...(link && { links: link }),
    ...(externalRunId !== undefined && { externalRunId }),
  }
}

const number = (id: string): string | number =>
  Number.isSafeInteger(Number(id)) && id !== '' ? Number(id) : id

/** The maximum length of a log line. Longer lines are hard to read in Port's UI. */
const MAX_LINE = 8_000

/** The maximum size of a log request. Port accepts 1 MiB, but browsers can't show a log of this size. */
const MAX_BATCH_BYTES = 200_000

/** Returns the lines in batches, one for each request. Keeps the order of the lines, and cuts long ones. */
export function logBatches(lines: readonly LogLine[]): LogLine[][] {
  const batches: LogLine[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const { level, message } of lines) {
    const line: LogLine = { level, message: cut(message) }
    const bytes = Buffer.byteLength(JSON.stringify(line)) + 1
    if (size + bytes > MAX_BATCH_BYTES) {
      batches.push([])
      size = 0
    }
    batches.at(-1)!.push(line)
    size += bytes
  }
  return batches
}

function cut(message: string): string {
  if (message.length <= MAX_LINE) return message
  return `${message.slice(0, MAX_LINE).toWellFormed()}… (cut from ${message.length} characters)`
}

const STATUS: Record<string, RunState['status']> = {
  IN_PROGRESS: 'in_progress',
  WAITING_FOR_APPROVAL: 'waiting',
  SUCCESS: 'success',
  FAILURE: 'failure',
  DECLINED: 'cancelled',
  FAILED: 'failure',
  CANCELLED: 'cancelled',
}

/** The state of a run that can't be read from Port. */
export const UNREAD: RunState = {
  status: 'unknown',
  finished: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}

/** A node run that succeeds in less time was synchronous. */
const SYNCHRONOUS_MS = 5_000

/**
 * Returns a node run's state from `GET /v1/workflows/runs/{id}`. The response is undocumented. The status of a node run
 * is in `nodeRun`, in `run`, or at the top level. The status of the Port workflow is in `workflowRun`.
 */
export function readNodeRun(response: Json, id: string): RunState {
  if (!isObject(response)) return UNREAD
  const { workflowRun } = response
  const nodeRuns = isObject(workflowRun) ? [workflowRun.nodeRuns].flat().filter(isObject) : []
  const listed = nodeRuns.find(({ identifier }) => identifier === id)
  const run = [listed, response.nodeRun, response.workflowNodeRun, response.run].find(isObject) ?? response
  const parent = [run.workflowRun, workflowRun].find(isObject) ?? {}
  const states = [run.status, parent.status].map(String)
  const status = STATUS[String(run.result)] ?? 'unknown'
  const tookMs = Date.parse(String(run.completedAt)) - Date.parse(String(run.createdAt))
  return {
    ...UNREAD,
    status,
    finished: states.includes('COMPLETED') || typeof run.endedAt === 'string',
    cancelling: states.includes('CANCELLING'),
    synchronized: status === 'success' && tookMs < SYNCHRONOUS_MS,
  }
}

/** Returns an action run's state from `GET /v1/actions/runs/{id}?version=v2`; null if the response has another format. */
export function readRun(response: Json): RunState | null {
  if (!isObject(response) || !isObject(response.run)) return null
  const { run } = response
  const status = STATUS[String(run.status)] ?? 'unknown'
  const payload = isObject(run.payload) ? run.payload : {}
  return {
    status,
    finished: ['success', 'failure', 'cancelled'].includes(status) || typeof run.endedAt === 'string',
    externalRunId:
      typeof run.externalRunId === 'string' && run.externalRunId !== '' ? run.externalRunId : null,
    synchronized: payload.synchronized === true,
    properties: isObject(run.properties) ? run.properties : null,
    body: payload.body ?? null,
  }
}

/** The limits of outputs, which later workflow nodes read as `{{ .outputs["node"].NAME }}`. `maxBytes`: the maximum size as JSON. */
export const OUTPUTS = { name: /^[A-Za-z0-9_-]+$/, maxBytes: 64 * 1024 }

/** Returns the merged outputs. `left`: the names of outputs that keep their earlier values, because the new ones don't fit. */
export function mergeOutputs(outputs: JsonObject, more: JsonObject): { outputs: JsonObject; left: string[] } {
  const merged = new Map(Object.entries(outputs))
  const left: string[] = []
  let bytes = Buffer.byteLength(JSON.stringify(outputs))
  for (const [name, value] of Object.entries(more)) {
    const before = merged.get(name)
    const added = sizeOf(name, value) - (before === undefined ? 0 : sizeOf(name, before))
    if (bytes + added > OUTPUTS.maxBytes) left.push(name)
    else {
      merged.set(name, value)
      bytes += added
    }
  }
  return { outputs: Object.fromEntries(merged), left }
}

/** The size of an entry in JSON, including a comma. */
const sizeOf = (name: string, value: Json) => Buffer.byteLength(JSON.stringify({ [name]: value })) - 1

export const describeLeftOut = (names: string[]) =>
  `The outputs of a run can have at most ${OUTPUTS.maxBytes / 1024} KB, so these are omitted: ${names.slice(0, 20).join(', ')}${names.length > 20 ? `, and ${names.length - 20} more` : ''}.`
