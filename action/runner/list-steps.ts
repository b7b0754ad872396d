import { isObject, type JsonObject } from '../../port/types.ts'
import { parseObject, whyNoAnswer } from '../report/relay-request.ts'
import type { Runner, Workflow } from './runner.ts'

/** A step of this job as GitHub lists it now. */
export interface ListedStep {
  name: string
  status: string
  conclusion: string | null
  /** ms epoch; NaN where GitHub names no time, as for a step that has not begun. */
  startedAt: number
  completedAt: number
  /** Whether the author wrote it: not the runner's own, this action's, or the `pre` or `post` of another. */
  authors: boolean
  /** Whether it is this action's own; an author who names the step hides that. */
  own: boolean
}

/** This job as GitHub lists it now, under the name that its pages show: `deploy (linux, 22)`. */
export interface ListedJob {
  name: string
  steps: ListedStep[]
}

class GitHubError extends Error {
  readonly status: number
  /** When the limit of requests that was reached ends, ms epoch; null where it is another error. */
  readonly limitEnd: number | null
  constructor(status: number, limitEnd: number | null, message: string) {
    super(message)
    this.status = status
    this.limitEnd = limitEnd
  }
}

/** What the token lacks, where GitHub answers with one of these. */
export const mayNotRead = (error: unknown): boolean =>
  error instanceof GitHubError && error.limitEnd === null && [401, 403, 404].includes(error.status)

/** When GitHub may be asked again, ms epoch; null where it has not said. */
export const limitEnd = (error: unknown): number | null =>
  error instanceof GitHubError ? error.limitEnd : null

export const PERMISSION_HINT =
  'Give the job "permissions: actions: read" (and leave github-token to its default).'

/**
 * Asks GitHub for this job and its steps, in order. The answer is null where GitHub does not list the job. Asked
 * again, it sends the ETag of its last answer: a 304 does not count against the token's limit.
 *
 * @throws Error with a sentence
 * @see https://docs.github.com/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run-attempt
 */
export function createStepLister(
  workflow: Workflow,
  options: { token: string; checkRunId: string | null },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
): () => Promise<ListedJob | null> {
  let last: { page: number; etag: string; job: ListedJob } | null = null

  return async () => {
    for (let page = last?.page ?? 1; ; page++) {
      const answer = await listJobs(page)
      if (answer === 'unchanged') return last!.job
      const own = answer.jobs.find(job =>
        options.checkRunId === null
          ? job.status === 'in_progress' && job.runner_name === workflow.runnerName
          : String(job.id) === options.checkRunId,
      )
      if (own) {
        const job = { name: String(own.name ?? workflow.job), steps: readSteps(own, workflow.action) }
        last = answer.etag ? { page, etag: answer.etag, job } : null
        return job
      }
      if (page * 100 >= answer.total) return null
    }
  }

  async function listJobs(
    page: number,
  ): Promise<{ jobs: JsonObject[]; total: number; etag: string | null } | 'unchanged'> {
    const path = `/repos/${workflow.repository}/actions/runs/${workflow.runId}/attempts/${workflow.attempt}/jobs`
    const ask = () =>
      fetch(`${workflow.apiUrl}${path}?per_page=100&page=${page}`, {
        method: 'GET',
        headers: {
          accept: 'application/vnd.github+json',
          authorization: `Bearer ${options.token}`,
          'user-agent': 'port-webhook-action',
          'x-github-api-version': '2022-11-28',
          ...(last?.page === page && { 'if-none-match': last.etag }),
        },
        signal: AbortSignal.timeout(10_000),
      })
    const response = await ask().catch(cause => {
      throw noAnswer(whyNoAnswer(cause), cause)
    })
    if (response.status === 304) return 'unchanged'
    const text = await response.text()
    if (response.status !== 200) {
      const end = readLimitEnd(response, text, clock())
      const hint = [401, 403, 404].includes(response.status) ? ` ${PERMISSION_HINT}` : ''
      const reason = end === null ? `.${hint}` : `: ${LIMITED}`
      throw new GitHubError(
        response.status,
        end,
        `GitHub answered ${response.status} to GET ${path}${reason}`,
      )
    }
    const body = parseObject(text)
    if (!Array.isArray(body.jobs)) throw noAnswer('what came is no list of jobs')
    const etag = response.headers.get('etag')
    return { jobs: body.jobs.filter(isObject), total: Number(body.total_count) || 0, etag }
  }

  function noAnswer(reason: string, cause?: unknown): Error {
    const { host } = new URL(workflow.apiUrl)
    return new Error(`GitHub's API at ${host} did not answer as it should: ${reason}.`, { cause })
  }
}

const LIMITED =
  'the limit of requests is reached that github-token shares with all jobs of the repository (1,000 an hour).'

/** @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit */
function readLimitEnd(
  { status, headers }: { status: number; headers: { get(name: string): string | null } },
  text: string,
  now: number,
): number | null {
  if (status !== 403 && status !== 429) return null
  const after = Number(headers.get('retry-after') ?? Number.NaN)
  if (Number.isFinite(after)) return now + after * 1_000
  const reset = Number(headers.get('x-ratelimit-reset') ?? Number.NaN)
  if (headers.get('x-ratelimit-remaining') === '0' && Number.isFinite(reset)) return reset * 1_000
  return status === 429 || /rate limit/i.test(text) ? now + 60_000 : null
}

function readSteps(job: JsonObject, action: string | null): ListedStep[] {
  const steps = Array.isArray(job.steps) ? job.steps.filter(isObject) : []
  const isRunners = markRunners(steps)
  return steps.map((step, index) => {
    const name = String(step.name)
    const own = name === `Run ${action}`
    return {
      name,
      status: String(step.status),
      conclusion: typeof step.conclusion === 'string' ? step.conclusion : null,
      startedAt: Date.parse(String(step.started_at)),
      completedAt: Date.parse(String(step.completed_at)),
      authors: !own && !isRunners[index],
      own,
    }
  })
}

const RUNNERS = ['Set up job', 'Complete job', 'Complete runner', 'Initialize containers', 'Stop containers']
/** What may follow on "Set up job": the hook of a self-hosted machine, and the images of actions in Docker. */
const PREPARES = /^(Set up runner|Pull \S*[./:@]\S*|Build \S+@\S+)$/

/**
 * Which steps the runner has added. An author may write a "Migrate" and a "Post Migrate" too; but every `pre` comes
 * before all other steps, and every `post` after a gap in the numbers: the runner keeps one for each step before.
 *
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/JobExtension.cs (InitializeJob)
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionManager.cs (PrepareActionsAsync)
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ExecutionContext.cs (CreatePostChild)
 */
function markRunners(steps: JsonObject[]): boolean[] {
  const names = new Set(steps.map(step => step.name))
  const gap = steps.findIndex((step, index) => Number(step.number) > Number(steps[index - 1]?.number) + 1)
  let preparing = true
  let begun = false
  return steps.map(({ name }, index) => {
    const [, stage, of] = /^(Pre|Post) (.*)$/s.exec(String(name)) ?? []
    const added = names.has(of) && (stage === 'Pre' ? !begun : gap >= 0 && index >= gap)
    preparing &&= index === 0 ? name === 'Set up job' : PREPARES.test(String(name))
    const runners = added || preparing || RUNNERS.includes(String(name))
    begun ||= !runners
    return runners
  })
}
