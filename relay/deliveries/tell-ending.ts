import type { LogLine } from '../../port/types.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Change, Delivery, Report } from '../store/delivery.ts'
import type { Ending } from './watch-words.ts'

/** Beyond, the oldest are forgotten. */
const MAX_PAST = 100

/** The workflow run of an ending. */
export interface EndedRun {
  run: WorkflowRun | null
  /**
   * Whether the action, or Port, has named it. A run that titles alone tell of is not bound to the delivery: the
   * one that reports for it, as of another workflow that listens, may be still to come, and would be stopped as a second.
   */
  named: boolean
  /** Whether order alone told which run it is, so that others are told theirs by what is left. */
  byOrder: boolean
  /** The runs that the delivery is over with, should it have failed, or be told its run by order. */
  past: number[]
}

/** What an ending writes: the delivery's last state, and the words for Port, the log before the final status. Pure. */
export function tellEnding(
  delivery: Delivery,
  { state, conclusion, label, sentence }: Ending,
  { run, named, byOrder, past }: EndedRun,
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
      ...(named && run && delivery.githubRunId === null && { githubRunId: run.id }),
      ...(named && run && { githubRunAttempt: run.attempt }),
      ...((state === 'failed' || byOrder) && {
        pastRuns: [...new Set([...delivery.pastRuns, ...past])].slice(-MAX_PAST),
      }),
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
