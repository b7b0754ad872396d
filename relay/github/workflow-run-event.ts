import { z } from 'zod'
import { toWorkflowRun, type WorkflowRun } from './workflow-run.ts'

/**
 * What the relay needs of a `workflow_run` webhook, and no more: GitHub adds conclusions and statuses, leaves
 * `display_title` out on older servers, and name, actor, branch and conclusion may be null.
 */
const text = z.string().nullish().catch(null)
const schema = z.object({
  repository: z.object({ full_name: z.string() }),
  workflow_run: z.object({
    id: z.number().int(),
    run_attempt: z.number().int().nullish().catch(null),
    workflow_id: z.number().int().nullish().catch(null),
    event: text,
    display_title: text,
    name: text,
    status: text,
    conclusion: text,
    html_url: text,
    created_at: text,
    updated_at: text,
  }),
})

/** The run that a webhook is about; null where it is about none. */
export function readWorkflowRunEvent(body: unknown): { repository: string; run: WorkflowRun } | null {
  const { data } = schema.safeParse(body)
  return data ? { repository: data.repository.full_name, run: toWorkflowRun(data.workflow_run) } : null
}
