import { Hono } from 'hono'
import { html } from 'hono/html'
import { layout } from '../fake-page.ts'
import type { GitHubEnv } from './access.ts'
import type { GitHubState } from './state.ts'

/** The pages that links in Port lead to: a repository's workflow runs, and a single run with its jobs and steps. */
export function pageRoutes(state: GitHubState): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  app.get('/:owner/:repo/actions', c => {
    const { owner, repo } = c.req.param()
    const runs = state.runs.filter(run => run.repository === `${owner}/${repo}`).toReversed()
    const list = html`<ul>${runs.map(run => html`<li><a href="/${run.repository}/actions/runs/${run.id}">${run.displayTitle}</a> ${run.conclusion ?? run.status}</li>`)}</ul>`
    return c.html(layout('GitHub', `${owner}/${repo}`, false, [html`<h2>Workflow runs</h2>${list}`]))
  })
  app.get('/:owner/:repo/actions/runs/:id/:attempts?/:attempt?', c => {
    const run = state.runs.find(({ id }) => id === Number(c.req.param('id')))
    if (!run) return c.notFound()
    const jobs = state.jobs.get(`${run.id}/${c.req.param('attempt') ?? run.runAttempt}`) ?? []
    return c.html(
      layout('GitHub', run.displayTitle, run.status !== 'completed', [
        html`<p><a href="/${run.repository}/actions">${run.repository}</a> · ${run.path} · ${run.event} · <b>${run.conclusion ?? run.status}</b></p>`,
        ...jobs.map(
          job =>
            html`<section><h2>${job.name}: ${job.conclusion ?? job.status}</h2><ol>${job.steps.map(step => html`<li>${step.name}: ${step.conclusion ?? step.status}</li>`)}</ol></section>`,
        ),
      ]),
    )
  })
  return app
}
