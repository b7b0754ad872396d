import type { LogLine } from '../../../port/types.ts'
import type { Delivery, DeliveryRun, HistoryEntry, Transition } from '../../store/delivery.ts'
import { CANCELLED, type Ending } from './ending-texts.ts'
import type { Policy } from './events.ts'
import { actionsPage } from './format.ts'
import { boundRun } from './runs.ts'

/**
 * The last state, and the messages to Port: the log before the final status.
 *
 * @param shown.lines instead of the ending's sentence
 */
export function finish(
  delivery: Delivery,
  { state, conclusion, label, sentence }: Ending,
  history: HistoryEntry,
  { serverUrl }: Policy,
  shown: { run?: DeliveryRun; lines?: LogLine[]; more?: LogLine[] | undefined } = {},
): Transition {
  const success = conclusion === 'success'
  const reason = success ? null : sentence
  const page = actionsPage(serverUrl, delivery.repository)
  const { run = boundRun(delivery), more = [] } = shown
  const { lines = [{ level: success ? 'INFO' : 'ERROR', message: sentence }] } = shown
  return {
    change: {
      state,
      reason,
      dueAt: null,
      ...(delivery.unansweredSince !== null && { unansweredSince: null }),
    },
    messages: [
      { log: [...lines, ...more] },
      {
        update: {
          conclusion,
          statusLabel: label,
          link: [run?.url || (run ? `${page}/runs/${run.id}` : page)],
          ...(run && { externalRunId: String(run.id) }),
          // A summary that the workflow wrote stays where all went well.
          ...(!success && { summary: sentence }),
        },
      },
    ],
    history: { ...history, details: { reason, ...history.details, state } },
  }
}

/** The delivery ends without a workflow run. A run that a person ended in Port keeps its end. */
export function endCancelled(delivery: Delivery, policy: Policy, by?: 'port' | 'api'): Transition {
  const message = `Delivery ${delivery.id} was cancelled before a workflow run started.`
  const history: HistoryEntry = { type: 'cancelled', details: by ? { by } : {} }
  return finish(delivery, CANCELLED, history, policy, { lines: [{ level: 'INFO', message }] })
}
