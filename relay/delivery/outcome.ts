import { duration } from '../../port/text.ts'
import type { Conclusion, LogLine } from '../../port/types.ts'
import { ENABLE, PROTECTION_HINT } from '../github/errors.ts'
import type { Job } from '../github/jobs.ts'
import type { Listeners } from '../github/workflow-files.ts'
import type { Delivery, DeliveryRun, HistoryEntry, Outcome, Transition } from './delivery.ts'
import type { Event, NoRun, Policy } from './events.ts'
import { boundRun } from './match.ts'
import { finalTexts, hasReported } from './reported.ts'

const OF_CONCLUSION = new Map<string | null | undefined, Outcome>([
  ['success', 'succeeded'],
  ['neutral', 'succeeded'],
  ['failure', 'failed'],
  ['timed_out', 'failed'],
  ['action_required', 'failed'],
  ['startup_failure', 'failed'],
  ['stale', 'failed'],
  ['cancelled', 'cancelled'],
  ['skipped', 'not_started'],
])

export const outcomeOf = (conclusion: string | null | undefined): Outcome =>
  OF_CONCLUSION.get(conclusion) ?? 'unknown'

/** Returns the outcome of a run that finished in Port. Port shows canceled runs as failed, and node runs without a result. */
export function outcomeInPort(conclusion: string, run: Pick<DeliveryRun, 'conclusion'> | null): Outcome {
  const [shown, ofRun] = [outcomeOf(conclusion), outcomeOf(run?.conclusion)]
  return shown === 'unknown' || (shown === 'failed' && ofRun === 'cancelled') ? ofRun : shown
}

export interface Ending {
  /** `failed`: the workflow didn't do its work. A user can redeliver the delivery. */
  state: 'finished' | 'failed' | 'cancelled'
  outcome: Outcome
  conclusion: Conclusion
  label: string
  /** A sentence for the user: the cause, and what to do. */
  sentence: string
}

export const CANCELLED: Ending = {
  state: 'cancelled',
  outcome: 'cancelled',
  conclusion: 'cancelled',
  label: 'Canceled',
  sentence: 'Canceled by a user in Port or through the relay.',
}

const NAME_BY_PAYLOAD = 'Set run-name: ${{ github.event.client_payload.run_id }} in the workflow'
const NAME_BY_INPUT =
  'Declare the input "port" in the workflow, and set its run-name to ${{ fromJSON(inputs.port || \'{}\').run_id }}'

export const failed = (outcome: Outcome, label: string, sentence: string): Ending => ({
  ...{ state: 'failed', outcome, conclusion: 'failure', label, sentence },
})

const notStarted = (sentence: string) => failed('not_started', 'Not started', sentence)
export const unknown = (label: string, sentence: string) => failed('unknown', label, sentence)

export const howToName = ({ workflow }: Pick<Delivery, 'workflow'>) =>
  `${workflow === null ? NAME_BY_PAYLOAD : NAME_BY_INPUT}, or use the action as the first step of its job`

/** @see https://docs.github.com/actions/reference/limits */
const QUEUE_LIMIT = 500

/** Returns the result of a delivery whose workflow run the relay couldn't follow to its end. */
export function outcomeWithoutRun(cause: NoRun, delivery: Delivery): Ending {
  const { repository, workflow } = delivery
  const dispatch = `dispatch of ${describeDispatch(delivery)}`
  switch (cause.why) {
    case 'nothing listens':
      if ((cause.queued ?? 0) >= QUEUE_LIMIT)
        return notStarted(
          `GitHub accepted the ${dispatch}, but started no workflow run, because ${cause.queued} workflow runs of ${repository} were created within seconds. GitHub blocks more than ${QUEUE_LIMIT} in ten seconds, without an error. Run the Port action again. If the relay causes such bursts, lower RELAY_DISPATCH_RATE.`,
        )
      return notStarted(workflow === null ? nothingListens(delivery, cause.listeners) : noRunOf(delivery))
    case 'not seen':
      return notStarted(
        `No workflow run in ${repository} reported within ${duration(cause.startTimeout)} of the ${dispatch}. Possible causes: ${workflow === null ? 'no workflow on the default branch listens to the dispatch' : `the workflow has no "workflow_dispatch:" in its "on:" or is disabled`}; the workflow run still waits for a runner; the workflow doesn't use the action. The relay can't read the repository's workflow runs: ${cause.reason}. Give the relay the permission Actions: read, and check the repository's Actions page.`,
      )
    case 'unidentified':
      return unknown(
        'Not identified',
        `${cause.amount === 1 ? 'A workflow run' : `${cause.amount} workflow runs`} started in ${repository} around the time of the ${dispatch}, but the relay can't identify the run that belongs to it. The repository's Actions page lists them. ${howToName(delivery)}.`,
      )
    case 'deleted':
      return unknown(
        'Deleted',
        `The workflow run was deleted on GitHub before it reported its result. Run the Port action again if the work is still needed.`,
      )
    case 'too long':
      return unknown(
        'Not followed further',
        `The workflow run in ${repository} hasn't finished within ${duration(cause.runTimeout)}, so the relay no longer follows it. Its status on GitHub is "${cause.status}". If the workflow run hangs, cancel it on GitHub. If it needs more time, raise RELAY_RUN_TIMEOUT.`,
      )
    case 'end not seen':
      return unknown(
        'Not followed further',
        `The workflow run in ${repository} reported no result within ${duration(cause.runTimeout)}, and the relay can't read it: ${cause.reason}. Look at the run on GitHub, and give the relay Actions: read.`,
      )
    case 'unknown':
      return unknown(
        'Unknown',
        `The relay couldn't determine the result of the ${dispatch} within ${duration(cause.runTimeout)}: ${cause.reason}. Look at the repository's Actions page.`,
      )
  }
}

export function nothingListens(
  { repository, eventType }: Pick<Delivery, 'repository' | 'eventType'>,
  listeners: Listeners = 'unknown',
): string {
  if (typeof listeners === 'object')
    return `Workflow ${listeners.disabled} in ${repository} listens to repository_dispatch type ${eventType}, but is disabled: ${ENABLE}`
  if (listeners === 'found')
    return `GitHub started no workflow run, although a workflow in ${repository} listens to repository_dispatch type ${eventType} on its default branch: check that Actions are enabled in the repository's settings, and run the Port action again.`
  const listens = `No workflow in ${repository} listens to repository_dispatch type ${eventType} on its default branch`
  const on = `"on: repository_dispatch: types: [${eventType}]"`
  if (listeners === 'no files')
    return `${listens}: the repository has no workflows. Add a workflow with ${on} to the default branch, and check that Actions are enabled in the repository's settings.`
  if (listeners === 'none') return `${listens}. Add ${on} to a workflow, or correct the event type.`
  return `${listens}. Add ${on} to a workflow, correct the event type, or enable the workflow if it's disabled.`
}

function noRunOf(delivery: Delivery): string {
  const { ref } = delivery
  const where = ref === null ? 'the default branch' : `"${ref}"`
  return `GitHub accepted the dispatch of ${describeDispatch(delivery)}, but shows no run for it. Check that the workflow file has "workflow_dispatch:" in its "on:" on ${where}, and that the workflow is enabled on the repository's Actions page.`
}

export function outcomeOfRun(delivery: Delivery, run: DeliveryRun, jobs: Job[] | null): Ending {
  const { conclusion } = run
  const { repository } = delivery
  const outcome = outcomeOf(conclusion)
  const failedAs = (label: string, sentence: string) => failed(outcome, label, sentence)
  const succeeded = (label: string, sentence: string): Ending => ({
    ...{ state: 'finished', outcome, conclusion: 'success', label, sentence },
  })
  switch (conclusion) {
    case 'success':
      return succeeded('Succeeded', `The workflow run in ${repository} succeeded.`)
    case 'neutral':
      return succeeded(
        'Neutral',
        `The workflow run in ${repository} finished with the conclusion neutral, which GitHub treats as success.`,
      )
    case 'failure':
      return { ...failedAs('Failed', failure(delivery, run, jobs)), state: 'finished' }
    case 'cancelled':
      return { ...failedAs('Canceled', cancelled(jobs, repository)), conclusion: 'cancelled' }
    case 'timed_out':
      return failedAs(
        'Timed out',
        `The workflow run in ${repository} timed out: raise the job's timeout-minutes, or find out which step hangs.`,
      )
    case 'startup_failure':
      return failedAs('Not started', noJobs(repository))
    case 'skipped':
      return failedAs(
        'Skipped',
        `Every job of the workflow run in ${repository} was skipped, so nothing was done: check the "if" of its jobs.`,
      )
    case 'action_required':
      return failedAs(
        'Needs approval',
        `The workflow run in ${repository} waits for approval on GitHub: approve it on the run's page. Port gets no further updates.`,
      )
    case 'stale':
      return failedAs(
        'Stale',
        `GitHub stopped the workflow run in ${repository}, because it made no progress for too long: check that a runner with the job's labels is online, and run the Port action again.`,
      )
    default:
      return failedAs(
        'Finished',
        `The workflow run in ${repository} finished with ${conclusion === null ? 'no conclusion' : `the conclusion "${conclusion}", which this relay doesn't know`}: see the run's page.`,
      )
  }
}

const noJobs = (repository: string) =>
  `The workflow run in ${repository} failed before any of its jobs started. The run's page shows GitHub's error, for example: the workflow file has an error; it uses an action or a permission that the repository doesn't allow (Settings, Actions, General); or ${PROTECTION_HINT}.`

function failure(delivery: Delivery, run: DeliveryRun, jobs: Job[] | null): string {
  const { repository } = delivery
  const failed = (jobs ?? []).filter(job => job.conclusion === 'failure' || job.conclusion === 'timed_out')
  // Omits the steps of jobs that have reported, because only the action can redact the names of steps.
  const job = failed.find(each => !hasReported(delivery, run, each))
  if (jobs && !jobs.some(each => each.started)) return noJobs(repository)
  if (!job && failed.length > 0)
    return `The workflow run in ${repository} failed. The log shows the failed step.`
  if (!job) return `The workflow run in ${repository} failed. The run's page on GitHub shows the failed step.`
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more failed)` : ''
  const step = failedStep(job)
  if (step?.name === 'Set up job')
    return `Job "${job.name}" couldn't be set up${more}: an action that it uses doesn't exist or isn't allowed, or its runner isn't ready. The run's page shows the reason.`
  if (step) return `Job "${job.name}" failed at step ${step.number} "${step.name}"${more}. See its log.`
  const open = job.steps.find(each => each.conclusion === null || each.conclusion === 'cancelled')
  return `The runner of job "${job.name}" was lost${open ? ` while step ${open.number} "${open.name}" was running` : ''}${more}: it was shut down, ran out of memory, or lost its network. Look at the runner, and run the Port action again.`
}

function cancelled(jobs: Job[] | null, repository: string): string {
  if (jobs && !jobs.some(job => job.started))
    return `The workflow run in ${repository} was canceled before a runner picked it up. Either a user canceled it, or a newer workflow run of its concurrency group replaced it ("queue: max" under "concurrency" prevents this). Run the Port action again if the work is still needed.`
  return `The workflow run in ${repository} was canceled or reached timeout-minutes before it could report its result. The run's page shows who or what stopped it.`
}

/** Returns a job's failed step; null if no step failed, for example because the runner was lost. */
export const failedStep = (job: Job) =>
  job.steps.find(step => step.conclusion === 'failure' || step.conclusion === 'timed_out') ?? null

export const names = (list: readonly string[]) =>
  list.length > 5 ? `${list.slice(0, 5).join(', ')} and ${list.length - 5} more` : list.join(', ')

/** Describes a dispatch for users: `"deploy" to acme/shop` or `workflow deploy.yml to acme/shop on main`. */
export function describeDispatch({ repository, eventType, workflow, ref }: Delivery): string {
  if (workflow === null) return `"${eventType}" to ${repository}`
  return `workflow ${workflow} to ${repository}${ref === null ? '' : ` on ${ref}`}`
}

/** Returns the attempt's fields and GitHub's response, for the history and the log. */
export const attempted = (
  { attempts, awaitingResponseSince, attemptedAt }: Delivery,
  { response }: Pick<Event<'dispatchDeferred'>, 'response'>,
  now: number,
) => ({
  attempt: attempts,
  ...(awaitingResponseSince !== null && attemptedAt !== null && { duration_ms: now - attemptedAt }),
  ...(response && { status: response.status }),
  ...(response && response.requestId !== null && { github_request_id: response.requestId }),
})

export const actionsPage = (serverUrl: string, repository: string) => `${serverUrl}/${repository}/actions`

export const clockTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** The conclusions of a workflow run in which no job has started. */
const WITHOUT_WORK = ['startup_failure', 'skipped']

/**
 * Finishes a delivery. Sends the log to Port. Then sends the final status, unless the workflow has started and another
 * system reports the status.
 * @param shown.lines log lines to send instead of the result's `sentence`
 */
export function finish(
  delivery: Delivery,
  { state, outcome, conclusion, label, sentence }: Ending,
  history: HistoryEntry,
  { serverUrl }: Policy,
  shown: { run?: DeliveryRun; lines?: LogLine[]; more?: LogLine[] | undefined; jobs?: Job[] | null } = {},
): Transition {
  const success = conclusion === 'success'
  const reason = success ? null : sentence
  const page = actionsPage(serverUrl, delivery.repository)
  const { run = boundRun(delivery), more = [], jobs } = shown
  const hasJobs = jobs?.some(({ started }) => started) ?? true
  const hasStarted = run ? hasJobs && !WITHOUT_WORK.includes(run.conclusion ?? '') : outcome === 'unknown'
  const isReported = delivery.reportWorkflowStatus !== false || !hasStarted
  const { lines = [{ level: success ? 'INFO' : 'ERROR', message: sentence }] } = shown
  const url = run?.url || (run ? `${page}/runs/${run.id}` : page)
  const texts = finalTexts(delivery, { conclusion, sentence, url })
  // Omits the link, which Port got at the dispatch: a workflow without reports may have replaced it since then.
  if (run?.evidence === 'response' && run.url && delivery.reported === null) delete texts.link
  return {
    change: {
      state,
      outcome,
      reason,
      dueAt: null,
      ...(delivery.awaitingResponseSince !== null && { awaitingResponseSince: null }),
    },
    messages: [
      { log: [...lines, ...more] },
      {
        update: {
          ...(isReported && { conclusion }),
          statusLabel: label,
          ...(run && { externalRunId: String(run.id) }),
          ...texts,
        },
      },
    ],
    history: {
      ...history,
      details: { reason, ...history.details, conclusion: history.details.conclusion ?? conclusion, state },
    },
  }
}

/** Finishes a canceled delivery without a workflow run. If a user finished the Port run, Port keeps the user's status. */
export function finishCancelled(
  delivery: Delivery,
  policy: Policy,
  by?: Event<'cancelRequested'>['by'],
): Transition {
  const why = by === 'freeze' ? `An operator canceled the frozen deliveries (${delivery.reason}). ` : ''
  const message = `${why}Delivery ${delivery.id} was canceled before a workflow run started.`
  const history: HistoryEntry = { type: 'cancelled', details: by ? { by } : {} }
  return finish(delivery, CANCELLED, history, policy, { lines: [{ level: 'INFO', message }] })
}
