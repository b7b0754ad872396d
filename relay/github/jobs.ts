import { trimEnd } from '../../port/text.ts'
import type { Credential } from './credentials.ts'
import { cleanText } from './response.ts'

interface Step {
  name: string
  number: number
  conclusion: string | null
  /** Milliseconds since 1970; null where it did not end. */
  finishedAt: number | null
}

/** A job of a workflow run that has ended. */
export interface Job {
  id: number
  name: string
  conclusion: string | null
  /** Whether a runner had taken it. */
  started: boolean
  steps: Step[]
}

/** Reads jobs and their logs. Every function throws what Octokit throws, or CredentialError. */
export interface JobReader {
  /** At most 100 jobs, and whether there are more. */
  jobs(repository: string, runId: number, attempt: number): Promise<{ jobs: Job[]; total: number }>
  /** The end of an ended job's log; null where GitHub has none, as after a lost runner. */
  jobLog(repository: string, jobId: number): Promise<string | null>
}

const LOG_TIMEOUT_MS = 10_000

export function createJobReader(credential: Credential): JobReader {
  return {
    jobs: (repository, runId, attempt) =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.actions.listJobsForWorkflowRunAttempt({
          ...at,
          run_id: runId,
          attempt_number: attempt,
          per_page: 100,
        })
        const jobs = data.jobs.map(job => ({
          id: job.id,
          name: cleanText(job.name),
          conclusion: job.conclusion,
          started: Boolean(job.runner_name) || (job.steps?.length ?? 0) > 0,
          steps: (job.steps ?? []).map(step => ({
            name: cleanText(step.name),
            number: step.number,
            conclusion: step.conclusion,
            finishedAt: Date.parse(step.completed_at ?? '') || null,
          })),
        }))
        return { jobs, total: data.total_count }
      }),
    jobLog: (repository, jobId) =>
      credential.use(repository, async (octokit, at) => {
        const signal = AbortSignal.timeout(LOG_TIMEOUT_MS)
        // Not followed by Octokit: the log is on another host, at a signed address, and the token must not be sent
        // there.
        const request = { redirect: 'manual' as const, signal }
        let { headers } = await octokit.request('GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs', {
          ...at,
          job_id: jobId,
          request,
        })
        // A repository that was renamed is first redirected to its new address.
        const api = `${trimEnd(octokit.request.endpoint.DEFAULTS.baseUrl, '/')}/`
        if (headers.location?.startsWith(api)) {
          ;({ headers } = await octokit.request({ method: 'GET', url: headers.location, request }))
        }
        const response = await fetch(String(headers.location), { signal })
        if (response.status === 404) return null
        if (!response.ok || !response.body) throw new Error(`GitHub's log store answered ${response.status}`)
        return readTail(response.body)
      }),
  }
}

/** What is kept: far more than a hundred lines need. */
const KEPT_BYTES = 512 * 1024

/** The end of a stream of UTF-8 text, however long it is, from the start of a line. */
export async function readTail(stream: AsyncIterable<Uint8Array>, keep = KEPT_BYTES): Promise<string> {
  let chunks: Uint8Array[] = []
  let length = 0
  let cut = false
  for await (const chunk of stream) {
    chunks.push(chunk)
    length += chunk.length
    if (length < 2 * keep) continue
    const end = Buffer.concat(chunks).subarray(-keep)
    chunks = [end]
    length = end.length
    cut = true
  }
  const whole = Buffer.concat(chunks)
  const end = whole.subarray(-keep)
  const text = end.toString('utf8')
  return cut || end.length < whole.length ? text.slice(text.indexOf('\n') + 1) : text
}
