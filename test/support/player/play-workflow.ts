import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { evaluateText } from './evaluate.ts'
import type { RunState } from './job-state.ts'
import { playJobs } from './play-jobs.ts'
import { publishRun } from './publish-run.ts'
import { readWorkflow, type Workflow } from './read-workflow.ts'
import { eventFile, githubContext, workflowPath } from './run-facts.ts'
import type { PlayedRun, PlayOptions } from './types.ts'
import { workflowInputs } from './workflow-inputs.ts'

const projectRoot = resolve(import.meta.dirname, '../../..')

/**
 * Plays a workflow for real: read by GitHub's parser, `${{ }}` by GitHub's evaluator, each step a process.
 *
 * Throws when the workflow does not parse, does not listen to the event, or uses what the player does not
 * know. A job that fails does not throw: it is in the result. Nothing that was started outlives the call.
 */
export async function playWorkflow(options: PlayOptions): Promise<PlayedRun> {
  const file = options.file ?? 'workflow.yml'
  const content = options.yaml ?? (await readFile(file, 'utf8'))
  const workflow = await readWorkflow(basename(file), content, options.onLeftOut)
  refuseDeafWorkflow(workflow, options)
  const { github: api } = options
  const attempt = options.attempt ?? 1
  const event = eventFile(options)
  const opened = openRun(options, workflow, file, attempt)
  const runId = opened.id
  const github = githubContext(options, workflow, file, event, { ...opened, attempt })
  const title = runTitle(workflow, options, github, event)
  api?.setRun(runId, { displayTitle: title })
  const played: PlayedRun = { runId, attempt, title, conclusion: 'success', jobs: [], options }
  const runnerName = options.runnerName ?? 'GitHub Actions 1'
  const show = (conclusion: string | null) => {
    if (api) publishRun(api, { ...played, conclusion, runnerName })
  }
  const run: RunState = {
    options,
    runId,
    attempt,
    event,
    github,
    root: await mkdtemp(join(tmpdir(), 'played-run-')),
    repositoryRoot: options.repositoryRoot ?? projectRoot,
    cancelled: new AbortController(),
    jobs: played.jobs,
    publish: () => show(null),
  }
  const cancel = () => run.cancelled.abort()
  options.signal?.addEventListener('abort', cancel, { once: true })
  if (options.signal?.aborted) cancel()
  try {
    const token = String(github.token)
    const secrets = { ...options.secrets, ...(token && { GITHUB_TOKEN: token }) }
    const inputs = dispatchInputs(workflow, options)
    const contexts = { github, vars: options.vars ?? {}, inputs, secrets }
    const results = Object.values(await playJobs(run, { workflow, contexts, prefix: '' })).map(
      one => one.result,
    )
    const worst = (['failure', 'cancelled', 'success'] as const).find(one => results.includes(one))
    played.conclusion = run.cancelled.signal.aborted ? 'cancelled' : (worst ?? 'skipped')
    show(played.conclusion)
    return played
  } finally {
    options.signal?.removeEventListener('abort', cancel)
    await rm(run.root, { recursive: true, force: true })
  }
}

/** GitHub starts nothing for such an event, and reports no error: here it is one. */
function refuseDeafWorkflow(workflow: Workflow, { event }: PlayOptions): void {
  const listens = Object.keys(workflow.on)
  if (!listens.includes(event.name)) {
    throw new Error(`${workflow.name} does not listen to ${event.name}, only to ${listens.join(', ')}.`)
  }
  const types = [workflow.on[event.name]!.types ?? []].flat()
  const type = event.name === 'repository_dispatch' ? event.payload.event_type : event.payload.action
  if (types.length > 0 && !types.includes(String(type))) {
    throw new Error(
      `${workflow.name} does not listen to ${event.name} of type ${type}, only to ${types.join(', ')}.`,
    )
  }
}

function dispatchInputs(workflow: Workflow, { event }: PlayOptions): Record<string, unknown> | null {
  if (event.name !== 'workflow_dispatch') return null
  return workflowInputs(
    workflow,
    'workflow_dispatch',
    (event.payload.inputs ?? {}) as Record<string, unknown>,
    {},
  )
}

/** `run-name`; without one, GitHub shows the event's type, or the workflow's name. */
function runTitle(
  workflow: Workflow,
  options: PlayOptions,
  github: Record<string, unknown>,
  event: Record<string, unknown>,
): string {
  const inputs = dispatchInputs(workflow, options)
  const named = evaluateText(workflow.runName, { github, inputs, vars: options.vars ?? {} }).trim()
  if (named !== '') return named
  return options.event.name === 'repository_dispatch' ? String(event.action) : workflow.name
}

/** The run on the stand-in: the one the dispatch has made, or a new one; without a stand-in only its numbers. */
function openRun(options: PlayOptions, workflow: Workflow, file: string, attempt: number) {
  const { github, repository, runId, sha: headSha, actor } = options
  if (!github) return { id: runId ?? 16_000_000_001, runNumber: options.runNumber ?? 1 }
  if (github.runs.some(run => run.id === runId)) {
    return github.setRun(runId!, { runAttempt: attempt, status: 'queued', conclusion: null })
  }
  const facts = { repository, name: workflow.name, path: workflowPath(file), runAttempt: attempt }
  const given = Object.entries({ id: runId, headSha, actor }).filter(([, value]) => value !== undefined)
  return github.createRun({ ...facts, event: options.event.name, ...Object.fromEntries(given) })
}
