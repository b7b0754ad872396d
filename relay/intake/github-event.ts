import { z } from 'zod'
import { cleanText } from '../../port/text.ts'
import type { FinishedJob } from '../delivery/events.ts'
import { readReviewers } from '../github/approvals.ts'
import { givenRun, toWorkflowRun } from '../github/runs.ts'

export type WebhookEvent = z.infer<(typeof EVENTS)[keyof typeof EVENTS]>

// The schemas require nothing but the fields that the relay needs, which older servers also send. Conclusions and
// statuses are texts, because GitHub can add values.
const text = z.string().nullish().catch(null)
const whole = z.number().int().nullish().catch(null)
const id = z.number().int()
const repository = z.object({ full_name: z.string() })
const user = z.object({ login: text, name: text }).nullish().catch(null)
const jobRun = z.object({ environment: text }).nullish().catch(null)

const workflowJob = z.object({
  ...{ id: whole, run_id: id, status: text, conclusion: text },
  ...{ started_at: text, completed_at: text },
})

const EVENTS = {
  workflow_run: z.object({ repository, workflow_run: givenRun }).transform(body => ({
    kind: 'workflow_run' as const,
    repository: body.repository.full_name,
    run: toWorkflowRun(body.workflow_run),
  })),
  workflow_job: z
    .object({ repository, workflow_job: workflowJob })
    .transform(({ workflow_job: job, ...body }) => ({
      kind: 'workflow_job' as const,
      repository: body.repository.full_name,
      runId: job.run_id,
      /** `waiting`: the job waits for an environment's protection rules. */
      status: job.status ?? 'unknown',
      finished: readFinished(job),
    })),
  deployment_review: z
    .object({
      action: z.string(),
      repository,
      workflow_run: z.object({ id }),
      environment: text,
      workflow_job_run: jobRun,
      workflow_job_runs: z.array(jobRun).nullish().catch(null),
      reviewers: z
        .array(z.object({ reviewer: user }))
        .nullish()
        .catch(null),
      approver: user,
      comment: text,
    })
    .transform(body => {
      const jobRuns = [body.workflow_job_run, ...(body.workflow_job_runs ?? [])]
      const names = [body.environment, ...jobRuns.map(run => run?.environment)].filter(name => name)
      return {
        kind: 'deployment_review' as const,
        /** `requested`, `approved`, or `rejected`. */
        action: body.action,
        repository: body.repository.full_name,
        runId: body.workflow_run.id,
        environments: [...new Set(names)].map(name => cleanText(name as string)),
        reviewers: readReviewers(body.reviewers),
        approver: body.approver?.login ? cleanText(body.approver.login) : null,
        comment: cleanText(body.comment ?? ''),
      }
    }),
}

function readFinished({
  id,
  status,
  conclusion = null,
  ...job
}: z.infer<typeof workflowJob>): FinishedJob | null {
  const [startedAt, finishedAt] = [Date.parse(job.started_at ?? ''), Date.parse(job.completed_at ?? '')]
  return id && status === 'completed' && startedAt && finishedAt
    ? { id, conclusion, startedAt, finishedAt }
    : null
}

/** Parses a verified webhook. Returns null for an event that the relay doesn't use. */
export function readWebhookEvent(name: string, body: unknown): WebhookEvent | null {
  if (!Object.hasOwn(EVENTS, name)) return null
  return EVENTS[name as keyof typeof EVENTS].safeParse(body).data ?? null
}
