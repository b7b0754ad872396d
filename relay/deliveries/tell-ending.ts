import type { LogLine } from '../../port/client.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Change, Delivery, Report } from '../store/delivery.ts'
import type { Ending } from './watch-words.ts'

/** What an ending writes: the delivery's last state, and the words for Port, the log before the final status. Pure. */
export function tellEnding(
  delivery: Delivery,
  { state, conclusion, label, sentence }: Ending,
  run: WorkflowRun | null,
  lines: LogLine[],
  serverUrl: string,
): { change: Change; reports: Report[] } {
  const well = conclusion === 'success'
  const page = `${serverUrl}/${delivery.repository}/actions`
  const runId = run?.id ?? delivery.githubRunId
  const link = run?.url || (runId === null ? page : `${page}/runs/${runId}`)
  return {
    change: {
      state,
      reason: well ? null : sentence,
      dueAt: null,
      ...(run && delivery.githubRunId === null && { githubRunId: run.id }),
      ...(run && { githubRunAttempt: run.attempt }),
    },
    reports: [
      { log: [{ level: well ? 'INFO' : 'ERROR', message: sentence }, ...lines] },
      {
        update: {
          conclusion,
          statusLabel: label,
          link: [link],
          ...(runId !== null && { externalRunId: String(runId) }),
          // A summary that the workflow wrote stays where all went well.
          ...(!well && { summary: sentence }),
        },
      },
    ],
  }
}
