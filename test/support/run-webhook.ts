import { createHmac } from 'node:crypto'
import type { GitHubApi, GitHubRun } from '../../simulator/github/github.ts'

/** Returns the content of GitHub's `workflow_run` webhook for a run's current state. */
export const runWebhook = (run: GitHubRun, serverUrl: string) => ({
  action: run.status === 'completed' ? 'completed' : 'in_progress',
  repository: { full_name: run.repository },
  workflow_run: {
    ...{ id: run.id, run_attempt: run.runAttempt, workflow_id: run.workflowId, event: run.event },
    ...{ display_title: run.displayTitle, status: run.status, conclusion: run.conclusion },
    html_url: `${serverUrl}/${run.repository}/actions/runs/${run.id}`,
    ...{ created_at: run.createdAt, updated_at: run.updatedAt },
  },
})

/** Returns the request of a GitHub webhook, signed with GITHUB_WEBHOOK_SECRET. */
export function gitHubRequest(event: string, webhook: object, secret: string) {
  const body = JSON.stringify(webhook)
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  const headers = { 'x-github-event': event, 'x-hub-signature-256': `sha256=${signature}` }
  return { method: 'POST', body, headers }
}

/** Sends GitHub's `workflow_run` webhook for a run's current state. */
export const sendRunWebhook = (
  relayUrl: string,
  run: GitHubRun,
  { github, secret }: { github: Pick<GitHubApi, 'serverUrl'>; secret: string },
) => sendGitHubWebhook(relayUrl, 'workflow_run', runWebhook(run, github.serverUrl), secret)

export async function sendGitHubWebhook(relayUrl: string, event: string, webhook: object, secret: string) {
  const response = await fetch(`${relayUrl}/github`, gitHubRequest(event, webhook, secret))
  return response.json()
}
