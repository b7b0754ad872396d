import type { JsonObject, RunUpdate } from '../types.ts'

/** The body of `PATCH /v1/actions/runs/{id}`, which knows no cancelled run: that is a failure with a label. */
export function actionRunBody(update: RunUpdate): JsonObject {
  const { conclusion, statusLabel, link, summary, externalRunId } = update
  const label = statusLabel ?? (conclusion === 'cancelled' ? 'Cancelled' : undefined)
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
 * The body of `PATCH /v1/workflows/nodes/runs/{id}`. It has no label and no summary, so they stand in
 * `output`, where later nodes of the Port workflow can read them. Port replaces `output` with each call:
 * give the link and the external run id again with the conclusion.
 */
export function nodeRunBody(update: RunUpdate): JsonObject {
  const { conclusion, statusLabel, link, summary, externalRunId } = update
  const output: JsonObject = {
    ...(link?.[0] && { workflowRunUrl: link[0] }),
    ...(externalRunId !== undefined && { workflowRunId: number(externalRunId) }),
    ...(statusLabel !== undefined && { statusLabel }),
    ...(summary !== undefined && { summary }),
  }
  return {
    status: conclusion ? 'COMPLETED' : 'IN_PROGRESS',
    ...(conclusion && { result: RESULT[conclusion] }),
    ...(Object.keys(output).length > 0 && { output }),
    ...(link && { links: link }),
    ...(externalRunId !== undefined && { externalRunId }),
  }
}

const number = (id: string): string | number =>
  Number.isSafeInteger(Number(id)) && id !== '' ? Number(id) : id
