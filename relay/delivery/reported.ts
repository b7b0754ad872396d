import { worstOf } from '../../port/client/run-bodies.ts'
import type { Conclusion, ReportedJob, RunUpdate } from '../../port/types.ts'
import type { Delivery, DeliveryRun, JobResult, Reported } from './delivery.ts'
import { boundRun } from './match.ts'

const NOTHING: Reported = { attempt: 0, jobs: [], summary: null, links: [] }
const MAX_LINKS = 10

/**
 * Adds an update to the jobs' reports. A job's new result replaces its old one. The first result of a new attempt
 * replaces all results of the earlier attempt. An author's summary replaces a generated one. Among generated summaries,
 * the worst job's summary stays.
 */
export function addReport(before: Reported | null, update: RunUpdate, attempt: number): Reported {
  const known = before ?? NOTHING
  const { job, conclusion = 'success', summary: text, link = [] } = update
  const isNewAttempt = job !== undefined && known.attempt !== attempt
  const id = job && idOf(job)
  const others = isNewAttempt ? [] : known.jobs.filter(each => each.job !== id)
  const { summary } = known
  const own = job?.ownSummary ?? true
  const isKept =
    summary?.own === own ? !isNewAttempt && isWorse(summary.conclusion, conclusion) : summary?.own
  return {
    attempt: job ? attempt : known.attempt,
    jobs: id === undefined ? others : [...others, { job: id, conclusion, author: job?.author ?? 'success' }],
    summary: text && !isKept ? { text, own, conclusion } : summary,
    links: [...new Set([...known.links, ...link])].slice(-MAX_LINKS),
  }
}

/** Returns the job's ID on GitHub. If the action doesn't know the ID, returns the name. */
export const idOf = ({ id, name }: ReportedJob): number | string => id ?? name

const isWorse = (a: Conclusion, b: Conclusion) => worstOf([a, b]) !== b

type Reporting = Pick<Delivery, 'reported' | 'runs'>

const jobsOf = ({ reported }: Pick<Delivery, 'reported'>, run: DeliveryRun | null): JobResult[] | null =>
  reported && run && reported.attempt === run.attempt ? reported.jobs : null

/** Returns the worst result that jobs of the current attempt reported; null if no job reported. */
export function resultOfJobs(delivery: Reporting): Conclusion | null {
  const jobs = jobsOf(delivery, boundRun(delivery))
  return jobs && worstOf(jobs.map(({ conclusion }) => conclusion))
}

/** Returns the worst conclusion that authors set in the jobs of this attempt of the run. */
export const conclusionOfAuthors = (delivery: Reporting, run: DeliveryRun): Conclusion =>
  worstOf((jobsOf(delivery, run) ?? []).map(({ author }) => author))

/** Whether a job may have reported its result. If so, the relay shows nothing but the job's reports, which are redacted. */
export const hasReported = (delivery: Reporting, run: DeliveryRun, job: { id: number; name: string }) =>
  (jobsOf(delivery, run) ?? []).some(
    ({ job: known }) => known === job.id || known === job.name || /\*{3}/.test(String(known)),
  )

/** Returns the texts of the final update. If the summary shows a better result than the final one, the relay's `sentence` precedes the summary. */
export function finalTexts(
  { reported, kind }: Pick<Delivery, 'reported' | 'kind'>,
  { conclusion, sentence, url }: { conclusion: Conclusion; sentence: string; url: string },
): Pick<RunUpdate, 'link' | 'summary'> {
  const { summary, links } = reported ?? NOTHING
  // If the action links to the workflow run, its link contains the attempt.
  const own = links.filter(link => link !== url && !link.startsWith(`${url}/attempts/`))
  const link = [url, ...own].slice(0, kind === 'node_run' ? 3 : MAX_LINKS)
  if (isWorse(conclusion, summary?.conclusion ?? 'success'))
    return { link, summary: [sentence, summary?.text].filter(Boolean).join('\n\n') }
  // After a success without a summary, Port keeps its current summary.
  return { link, ...(summary && { summary: summary.text }) }
}
