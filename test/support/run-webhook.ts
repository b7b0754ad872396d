import { createHmac } from 'node:crypto'
import type { GitHubApi, GitHubRun } from '../../tools/simulator/github/github.ts'

/** Sends GitHub's `workflow_run` webhook for a run's current state, signed with GITHUB_WEBHOOK_SECRET. */
export async function sendRunWebhook(
  relayUrl: string,
  run: GitHubRun,
  { github, secret }: { github: Pick<GitHubApi, 'serverUrl'>; secret: string },
): Promise<unknown> {
  const webhook = {
    action: run.status === 'completed' ? 'completed' : 'in_progress',
    repository: { full_name: run.repository },
    workflow_run: {
      ...{ id: run.id, run_attempt: run.runAttempt, workflow_id: run.workflowId, event: run.event },
      ...{ display_title: run.displayTitle, status: run.status, conclusion: run.conclusion },
      html_url: `${github.serverUrl}/${run.repository}/actions/runs/${run.id}`,
      ...{ created_at: run.createdAt, updated_at: run.updatedAt },
    },
  }
  return sendGitHubWebhook(relayUrl, 'workflow_run', webhook, secret)
}

export async function sendGitHubWebhook(
  relayUrl: string,
  event: string,
  webhook: object,
  secret: string,
): Promise<unknown> {
  const body = JSON.stringify(webhook)
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  const headers = { 'x-github-event': event, 'x-hub-signature-256': `sha256=${signature}` }
  const response = await fetch(`${relayUrl}/github`, { method: 'POST', body, headers })
  return response.json()
}
