import { type Annotation, readAnnotations } from '../../port/annotations.ts'
import { describeNetworkError } from '../../port/client/errors.ts'
import { readRetryAt } from '../../port/retry.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import type { Runner, Workflow } from './runner.ts'

export type ListedStep = ReturnType<typeof readSteps>[number]

/** A job. `name`: as on GitHub's pages, such as `deploy (linux, 22)`. */
export interface ListedJob {
  name: string
  steps: ListedStep[]
  /** The conclusions of completed jobs, by job name. */
  others: Record<string, string>
  failed: number[]
  id: number
}

class GitHubError extends Error {
  /** Whether the token lacks a permission. */
  forbidden = false
  /** When GitHub accepts the next request, in milliseconds since 1970; null if the response contains no time. */
  retryAt: number | null = null
}

/** GitHub's rate limits reset hourly. */
const LIMIT_MS = 3_600_000

export const isForbidden = (error: unknown): boolean => error instanceof GitHubError && error.forbidden

export const retryAtOf = (error: unknown): number | null =>
  error instanceof GitHubError ? error.retryAt : null

export const PERMISSION_HINT = 'Give the job "permissions: actions: read" (and don\'t set github-token).'

const TIMEOUT_MS = 10_000
const API_VERSION = '2022-11-28'

/**
 * Returns a function that gets this job from GitHub. The function returns null if GitHub doesn't list the job. It sends
 * the previous response's ETag, because a 304 doesn't count against the rate limit.
 * @throws Error with a message for users
 * @see https://docs.github.com/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run-attempt
 */
export function createStepLister(
  workflow: Workflow,
  options: { token: string; checkRunId: string | null },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
): () => Promise<ListedJob | null> {
  const [owner, repo] = workflow.repository.split('/') as [string, string]
  const path = `/repos/${workflow.repository}/actions/runs/${workflow.runId}/attempts/${workflow.attempt}/jobs`
  let last: { page: number; etag: string; job: ListedJob } | null = null
  const completed = new Map<string, string>()
  const failed = new Set<number>()

  return async () => {
    const octokit = await openOctokit(workflow, options.token, fetch)
    for (let page = last?.page ?? 1; ; page++) {
      const response = await octokit.rest.actions
        .listJobsForWorkflowRunAttempt({
          ...{ owner, repo, per_page: 100, page },
          ...{ run_id: Number(workflow.runId), attempt_number: Number(workflow.attempt) },
          headers: {
            'x-github-api-version': API_VERSION,
            ...(last?.page === page && { 'if-none-match': last.etag }),
          },
          request: { signal: AbortSignal.timeout(TIMEOUT_MS) },
        })
        .catch(toResponse)
      if (response.status === 304 && last) return last.job
      const jobs = readJobs(response.data)
      for (const { id, status, name, conclusion } of jobs) {
        if (status === 'completed') completed.set(String(name), String(conclusion))
        if (conclusion === 'failure') failed.add(Number(id))
      }
      const own = jobs.find(job =>
        options.checkRunId === null
          ? job.status === 'in_progress' && job.runner_name === workflow.runnerName
          : String(job.id) === options.checkRunId,
      )
      if (own) {
        const job = {
          name: String(own.name ?? workflow.job),
          steps: readSteps(own, workflow.action),
          others: Object.fromEntries(completed),
          ...{ id: Number(own.id), failed: [...failed] },
        }
        const { etag } = response.headers
        last = etag ? { page, etag, job } : null
        return job
      }
      if (page * 100 >= (Number((response.data as JsonObject).total_count) || 0)) return null
    }
  }

  function toResponse(error: unknown): Response {
    const { status, response } = error as { status?: number; response?: Response }
    if (!response) throw noResponse(describeNetworkError(error), error)
    if (status === 304) return response
    const retryAt = readLimitEnd(response, clock())
    const forbidden = retryAt === null && [401, 403, 404].includes(response.status)
    const reason = retryAt === null ? `.${forbidden ? ` ${PERMISSION_HINT}` : ''}` : `: ${LIMITED}`
    const message = `GitHub responded with ${response.status} to GET ${path}${reason}`
    throw Object.assign(new GitHubError(message, { cause: error }), { forbidden, retryAt })
  }

  function readJobs(data: unknown): JsonObject[] {
    if (!isObject(data) || !Array.isArray(data.jobs)) throw noResponse("the response isn't a list of jobs")
    return data.jobs.filter(isObject)
  }

  function noResponse(reason: string, cause?: unknown): Error {
    const { host } = new URL(workflow.apiUrl)
    return new GitHubError(`GitHub's API at ${host} didn't respond as expected: ${reason}.`, { cause })
  }
}

/** Octokit is loaded on first use, because loading is slow. */
async function openOctokit({ apiUrl }: Workflow, token: string, fetch: Runner['fetch']) {
  const { getOctokit } = await import('@actions/github')
  return getOctokit(token, { baseUrl: apiUrl, userAgent: 'port-webhook-action', request: { fetch } })
}

/** Returns the annotations of the jobs; none if GitHub denies access. @see https://docs.github.com/rest/checks/runs#list-check-run-annotations */
export async function listAnnotations(
  workflow: Workflow,
  jobs: readonly number[],
  token: string,
  fetch: Runner['fetch'],
): Promise<Annotation[]> {
  const [owner, repo] = workflow.repository.split('/') as [string, string]
  const octokit = await openOctokit(workflow, token, fetch)
  const request = { signal: AbortSignal.timeout(TIMEOUT_MS) }
  const headers = { 'x-github-api-version': API_VERSION }
  const found = await Promise.all(
    jobs.map(check_run_id =>
      octokit.rest.checks
        .listAnnotations({ owner, repo, check_run_id, per_page: 100, headers, request })
        .then(({ data }) => readAnnotations(data))
        .catch(() => []),
    ),
  )
  return found.flat()
}

interface Response {
  status: number
  headers: { etag?: string; [name: string]: string | number | undefined }
  data: unknown
}

const LIMITED =
  'github-token has reached its rate limit, which all jobs of the repository share (1,000 requests per hour).'

/** @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit */
function readLimitEnd({ status, headers, data }: Response, now: number): number | null {
  if (status !== 403 && status !== 429) return null
  const get = (name: string) => headers[name]?.toString() ?? null
  const used = get('x-ratelimit-remaining') === '0'
  const isLimit =
    status === 429 || used || get('retry-after') !== null || /rate limit/i.test(JSON.stringify(data ?? ''))
  if (!isLimit) return null
  // If requests remain, this response has another reason, so the reset time is ignored.
  return (
    readRetryAt({ get: name => (used || name === 'retry-after' ? get(name) : null) }, now, LIMIT_MS) ??
    now + 60_000
  )
}

function readSteps(job: JsonObject, action: string | null) {
  const steps = Array.isArray(job.steps) ? job.steps.filter(isObject) : []
  const isRunners = markRunners(steps)
  return steps.map((step, index) => {
    const name = String(step.name)
    const own = name === `Run ${action}`
    return {
      name,
      status: String(step.status),
      conclusion: typeof step.conclusion === 'string' ? step.conclusion : null,
      /** The start in milliseconds since 1970; NaN if GitHub returns no time. */
      startedAt: Date.parse(String(step.started_at)),
      completedAt: Date.parse(String(step.completed_at)),
      /** Whether the author wrote the step. False for steps of the runner or this action, `pre` steps, and `post` steps. */
      authors: !own && !isRunners[index],
      /** Whether the step runs this action under its default name. */
      own,
    }
  })
}

const RUNNERS = ['Set up job', 'Complete job', 'Complete runner', 'Initialize containers', 'Stop containers']
/** Steps that can follow "Set up job": the hook of a self-hosted runner, and steps that prepare images of Docker actions. */
const PREPARES = /^(Set up runner|Pull [^\s./:@]*[./:@]\S*|Build [^\s@]+@\S+)$/

/**
 * For each step, returns whether the runner added it. `pre` steps come first, and `post` steps follow a gap in the step
 * numbers. The names alone aren't enough, because an author can name a step "Post Migrate".
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/JobExtension.cs (InitializeJob)
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ExecutionContext.cs (CreatePostChild)
 */
function markRunners(steps: JsonObject[]): boolean[] {
  const names = new Set(steps.map(step => step.name))
  const gap = steps.findIndex((step, index) => Number(step.number) > Number(steps[index - 1]?.number) + 1)
  let preparing = true
  let started = false
  return steps.map(({ name }, index) => {
    const [, system, of] = /^(Pre|Post) (.*)$/s.exec(String(name)) ?? []
    const added = names.has(of) && (system === 'Pre' ? !started : gap >= 0 && index >= gap)
    preparing &&= index === 0 ? name === 'Set up job' : PREPARES.test(String(name))
    const runners = added || preparing || RUNNERS.includes(String(name))
    started ||= !runners
    return runners
  })
}

const LONGEST = 100

/**
 * Returns the name that GitHub's pages show for a job without a name: `deploy (linux, 22)`.
 * @see https://github.com/actions/runner/blob/main/src/Sdk/WorkflowParser/Conversion/JobNameBuilder.cs
 */
export function jobName(id: string, matrix: Json): string {
  const values = leavesOf(matrix)
  const name = values.length > 0 ? `${id} (${values.join(', ')})` : id
  return name.length > LONGEST ? `${name.slice(0, LONGEST - 3)}...` : name
}

function leavesOf(value: Json): string[] {
  if (value === null || value === '') return []
  if (Array.isArray(value)) return value.flatMap(leavesOf)
  return isObject(value) ? Object.values(value).flatMap(leavesOf) : [String(value)]
}
