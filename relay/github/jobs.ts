import { type Annotation, readAnnotations } from '../../port/annotations.ts'
import { cleanText, stripAnsiCodes, trimEnd } from '../../port/text.ts'
import type { Credential } from './credentials.ts'

export interface Job {
  id: number
  name: string
  conclusion: string | null
  started: boolean
  /** The name of the runner; null if no runner has picked up the job. */
  runner: string | null
  /** When the job started, in milliseconds since 1970 by GitHub's clock; null if it hasn't started. */
  startedAt: number | null
  finishedAt: number | null
  /** The labels of the runner for which a queued job waits. */
  awaitedLabels?: string[]
  steps: { name: string; number: number; conclusion: string | null; finishedAt: number | null }[]
}

type Group = { group_name: string; group_members: { run_id: number; status: string }[] }

const LOG_TIMEOUT_MS = 10_000

export type JobReader = ReturnType<typeof createJobReader>

/** Creates functions that read jobs and their logs. All of them throw Octokit's errors and CredentialError. */
export function createJobReader(credential: Credential) {
  return {
    /** Returns at most 100 jobs of an attempt. `total`: how many jobs the attempt has. */
    jobs: (repository: string, runId: number, attempt: number): Promise<{ jobs: Job[]; total: number }> =>
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
          ...(job.status === 'queued' && {
            awaitedLabels: (job.labels ?? []).map(label => cleanText(label)),
          }),
          conclusion: job.conclusion,
          startedAt: timeOf(job.started_at),
          finishedAt: timeOf(job.completed_at),
          started: Boolean(job.runner_name) || (job.steps?.length ?? 0) > 0,
          runner: job.runner_name ? cleanText(job.runner_name) : null,
          steps: (job.steps ?? []).map(step => ({
            name: cleanText(step.name),
            number: step.number,
            conclusion: step.conclusion,
            finishedAt: timeOf(step.completed_at),
          })),
        }))
        return { jobs, total: data.total_count }
      }),
    /** Returns the ID of the run in progress whose concurrency group makes this run wait; null if unknown. */
    blockingRun: (repository: string, runId: number): Promise<number | null> =>
      credential.use(repository, async (octokit, at) => {
        const ofRun = 'GET /repos/{owner}/{repo}/actions/runs/{run_id}/concurrency_groups'
        const { data } = await octokit.request(ofRun, { ...at, run_id: runId })
        const isPending = (group: Group) => group.group_members.some(({ status }) => status === 'pending')
        const name = (data.concurrency_groups as Group[]).find(isPending)?.group_name
        if (name === undefined) return null
        const byName = 'GET /repos/{owner}/{repo}/actions/concurrency_groups/{name}'
        const { group_members }: Group = (await octokit.request(byName, { ...at, name })).data
        return group_members.find(({ status }) => status === 'in_progress')?.run_id ?? null
      }),
    /** Returns the first 100 annotations of a job. Needs Checks: read. */
    annotations: (repository: string, jobId: number): Promise<Annotation[]> =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.checks.listAnnotations({ ...at, check_run_id: jobId, per_page: 100 })
        return readAnnotations(data)
      }),
    /** Returns the end of a finished job's log; null if GitHub has no log, for example because the runner was lost. */
    jobLog: (repository: string, jobId: number): Promise<string | null> =>
      credential.use(repository, async (octokit, at) => {
        const signal = AbortSignal.timeout(LOG_TIMEOUT_MS)
        // GitHub redirects to a signed URL on another host. Octokit doesn't follow the redirect, because that host must
        // not get the token.
        const request = { redirect: 'manual' as const, signal }
        let { headers } = await octokit.request('GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs', {
          ...at,
          job_id: jobId,
          request,
        })
        // If the repository was renamed, GitHub first redirects to the repository's new URL.
        const api = `${trimEnd(octokit.request.endpoint.DEFAULTS.baseUrl, '/')}/`
        if (headers.location?.startsWith(api)) {
          ;({ headers } = await octokit.request({ method: 'GET', url: headers.location, request }))
        }
        const response = await fetch(String(headers.location), { signal })
        if (response.status === 404) return null
        if (!response.ok || !response.body)
          throw new Error(`GitHub's log storage responded with ${response.status}`)
        return readTail(response.body)
      }),
  }
}

const timeOf = (text: string | null | undefined) => Date.parse(text ?? '') || null

const KEPT_BYTES = 512 * 1024

/** Returns the last lines of a UTF-8 stream of any length. */
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

const MAX_LINES = 100
const MAX_LINE = 1_000
/** The maximum number of characters to read from a line, including ANSI codes. */
const MAX_PART = 4_000
const TIME = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?/
/** Matches the runner command that registers a secret: `##[add-mask]…`, or `::add-mask::…` if a step printed it. */
const MASKING = /(?:##\[|::)\s*add-mask/i

/**
 * Returns the last lines of a job's log in readable form. GitHub shows a secret as `***`; the result shows `[masked]`.
 * Omits lines that register a secret, and the lines after `until` (milliseconds since 1970), such as the clean-up.
 */
export function cleanLog(text: string, until: number | null): string[] {
  const lines: { at: number; raw: string }[] = []
  let at = 0
  for (const raw of text.split(/\r?\n/)) {
    const time = TIME.exec(raw)
    if (time) at = Date.parse(time[1] as string)
    lines.push({ at, raw: time ? raw.slice(time[0].length) : raw })
  }
  // The tolerance is one second, because GitHub reports the end of a step in whole seconds.
  const within = until === null ? lines : lines.filter(line => line.at < until + 1000)
  return lastLines(within) ?? lastLines(lines) ?? []
}

function lastLines(lines: readonly { raw: string }[]): string[] | null {
  const kept: string[] = []
  for (let i = lines.length - 1; i >= 0 && kept.length < MAX_LINES; i--) {
    const line = clean((lines[i] as { raw: string }).raw)
    if (line !== null && (line !== '' || kept.length > 0)) kept.push(line)
  }
  return kept.length > 0 ? kept.reverse() : null
}

function clean(raw: string): string | null {
  // A carriage return restarts the line, as in a terminal.
  let shown = ''
  for (let end = raw.length; shown === '' && end > 0; end = raw.lastIndexOf('\r', end - 1)) {
    const part = raw.slice(raw.lastIndexOf('\r', end - 1) + 1, end)
    shown = stripAnsiCodes(part.slice(0, MAX_PART))
  }
  if (MASKING.test(shown) || /^##\[endgroup\]/.test(shown)) return null
  const text = shown
    .replace(/^##\[(error|warning)\]/, (_, word: string) => `${word === 'error' ? 'Error' : 'Warning'}: `)
    .replace(/^##\[\w+\]/, '')
    .replace(/[\p{Cc}\p{Cs}]/gu, char => (char === '\t' ? '  ' : ''))
    .replaceAll(/\*{3,}/g, '[masked]')
    .trimEnd()
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE).toWellFormed()}… (cut)`
}
