import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { evaluateText } from './evaluate.ts'
import { RUNNER_NAME, type RunState } from './job-state.ts'
import { playJobs, workflowInputs } from './jobs.ts'
import { readWorkflow, type Workflow } from './read-workflow.ts'
import { refuse } from './template.ts'
import type { Annotation, GitHubForSimulator, RunOptions, SimulatedJob, SimulatedRun } from './types.ts'

const projectRoot = resolve(import.meta.dirname, '../..')

/**
 * Runs a workflow with GitHub's parser, GitHub's expression evaluator, and a process for each step.
 *
 * Throws if the workflow doesn't parse, doesn't handle the event, or uses a feature that the simulator doesn't
 * support. A failed job is part of the result. No process outlives the call.
 */
export async function runWorkflow(options: RunOptions): Promise<SimulatedRun> {
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
  const simulated: SimulatedRun = { runId, attempt, title, conclusion: 'success', jobs: [], options }
  const show = (conclusion: string | null) => {
    if (api) publishRun(api, { ...simulated, conclusion })
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
    jobs: simulated.jobs,
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
    const results = Object.values(
      await playJobs(run, { workflow, file: workflowPath(file), contexts, prefix: '' }),
    ).map(one => one.result)
    const worst = (['failure', 'cancelled', 'success'] as const).find(one => results.includes(one))
    simulated.conclusion = run.cancelled.signal.aborted ? 'cancelled' : (worst ?? 'skipped')
    show(simulated.conclusion)
    return simulated
  } finally {
    options.signal?.removeEventListener('abort', cancel)
    await rm(run.root, { recursive: true, force: true })
  }
}

/** Throws an error if the workflow doesn't handle the event. GitHub would start nothing, and report no error. */
function refuseDeafWorkflow(workflow: Workflow, { event }: RunOptions): void {
  const listens = Object.keys(workflow.on)
  if (!listens.includes(event.name)) {
    throw new Error(`${workflow.name} doesn't listen to ${event.name}, only to ${listens.join(', ')}.`)
  }
  const types = [workflow.on[event.name]!.types ?? []].flat()
  const type = event.name === 'repository_dispatch' ? event.payload.event_type : event.payload.action
  if (types.length > 0 && !types.includes(String(type))) {
    throw new Error(
      `${workflow.name} doesn't listen to ${event.name} of type ${type}, only to ${types.join(', ')}.`,
    )
  }
}

function dispatchInputs(workflow: Workflow, { event }: RunOptions): Record<string, unknown> | null {
  if (event.name !== 'workflow_dispatch') return null
  return workflowInputs(
    workflow,
    'workflow_dispatch',
    (event.payload.inputs ?? {}) as Record<string, unknown>,
    {},
  )
}

/** Returns the `run-name`, or else the event type or the workflow's name, as GitHub does. */
function runTitle(
  workflow: Workflow,
  options: RunOptions,
  github: Record<string, unknown>,
  event: Record<string, unknown>,
): string {
  const inputs = dispatchInputs(workflow, options)
  const named = evaluateText(workflow.runName, { github, inputs, vars: options.vars ?? {} }).trim()
  if (named !== '') return named
  return options.event.name === 'repository_dispatch' ? String(event.action) : workflow.name
}

/** Returns the run on the fake GitHub: the dispatch's run, or a new one. Without a fake GitHub, returns just run numbers. */
function openRun(options: RunOptions, workflow: Workflow, file: string, attempt: number) {
  const { github, repository, runId, sha: headSha } = options
  if (!github) return { id: runId ?? 16_000_000_001, runNumber: 1 }
  if (github.runs.some(run => run.id === runId)) {
    return github.setRun(runId!, { runAttempt: attempt, status: 'queued', conclusion: null })
  }
  const facts = { repository, name: workflow.name, path: workflowPath(file), runAttempt: attempt }
  const given = Object.entries({ id: runId, headSha }).filter(([, value]) => value !== undefined)
  return github.createRun({ ...facts, event: options.event.name, ...Object.fromEntries(given) })
}

/** Simulates "Re-run all jobs": the next attempt of the same run, with the same payload. */
export async function rerunWorkflow(
  simulated: SimulatedRun,
  changes: Partial<RunOptions> = {},
): Promise<SimulatedRun> {
  const { options, runId, attempt } = simulated
  return await runWorkflow({ ...options, ...changes, runId, attempt: attempt + 1 })
}

const seconds = (time: string | null) => time && `${time.slice(0, 19)}Z`

/** Shows the current state of a run and its jobs on the fake GitHub. */
function publishRun(
  github: GitHubForSimulator,
  run: Pick<SimulatedRun, 'runId' | 'attempt' | 'jobs'> & { conclusion: string | null },
): void {
  github.setRun(run.runId, {
    status: run.conclusion === null ? 'in_progress' : 'completed',
    conclusion: run.conclusion,
    runAttempt: run.attempt,
  })
  github.setJobs(
    run.runId,
    run.attempt,
    run.jobs.map(job => ({
      id: job.databaseId,
      name: job.name,
      status: job.status,
      conclusion: job.conclusion,
      started_at: seconds(job.startedAt ?? new Date().toISOString())!,
      completed_at: seconds(job.completedAt),
      runner_name: job.startedAt === null ? null : RUNNER_NAME,
      steps: job.steps.map(step => ({
        name: step.name,
        number: step.number,
        status: step.status,
        conclusion: step.conclusion,
        started_at: seconds(step.startedAt),
        completed_at: seconds(step.completedAt),
      })),
    })),
  )
  for (const job of run.jobs) {
    if (job.status === 'completed') github.setJobLog(job.databaseId, jobLog(job))
    github.setAnnotations(
      job.databaseId,
      job.steps.flatMap(({ annotations }) => annotations.map(toCheckAnnotation)),
    )
  }
}

const LEVELS = { error: 'failure', warning: 'warning', notice: 'notice' } as const

const toCheckAnnotation = ({ level, message, properties }: Annotation) => ({
  path: properties.file ?? '.github',
  start_line: Number(properties.line ?? 1),
  annotation_level: LEVELS[level],
  message,
})

/** Returns a job's complete log as downloaded from GitHub, each line with its step's time. */
function jobLog(job: SimulatedJob): string {
  return job.steps
    .flatMap(step =>
      step.log
        .split('\n')
        .filter(line => line !== '')
        .map(line => `${step.startedAt} ${line}\n`),
    )
    .join('')
}

const branch = 'main'

/** The event as the runner writes it to `GITHUB_EVENT_PATH`. */
function eventFile(options: RunOptions): Record<string, unknown> {
  const [owner, name] = options.repository.split('/')
  const { payload } = options.event
  const around = {
    repository: {
      id: options.repositoryId ?? 1296269,
      name,
      full_name: options.repository,
      owner: { login: owner, id: 6811672, type: 'Organization' },
      default_branch: branch,
      html_url: `${serverUrl(options)}/${options.repository}`,
    },
    organization: { login: owner, id: 6811672 },
    sender: { login: 'octocat', id: 583231, type: 'User' },
  }
  if (options.event.name !== 'repository_dispatch') return { ...around, ...payload }
  const { event_type, client_payload, ...more } = payload
  if (typeof event_type !== 'string') refuse('a repository_dispatch without "event_type" in its payload')
  if (Object.keys(more).length > 0)
    refuse(`"${Object.keys(more)[0]}" in the payload of a repository_dispatch`)
  return { action: event_type, branch, client_payload: client_payload ?? {}, ...around }
}

/** The `github` context, without the values that differ between jobs. */
function githubContext(
  options: RunOptions,
  workflow: Workflow,
  file: string,
  event: Record<string, unknown>,
  run: { id: number; runNumber: number; attempt: number; headSha?: string; actor?: string | null },
): Record<string, unknown> {
  const actor = run.actor ?? 'octocat'
  const apiUrl = options.github?.url ?? 'https://api.github.com'
  const enterprise = /\/api\/v3$/.test(apiUrl)
  const ref = `refs/heads/${branch}`
  const sha = options.sha ?? run.headSha ?? 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0'
  return {
    token: options.github?.token ?? '',
    actor,
    triggering_actor: actor,
    event,
    event_name: options.event.name,
    repository: options.repository,
    repository_id: String(options.repositoryId ?? 1296269),
    repository_owner: options.repository.split('/')[0],
    repository_owner_id: '6811672',
    run_id: String(run.id),
    run_number: String(run.runNumber),
    run_attempt: String(run.attempt),
    workflow: workflow.name,
    workflow_ref: `${options.repository}/${workflowPath(file)}@${ref}`,
    workflow_sha: sha,
    ref,
    ref_name: branch,
    ref_type: 'branch',
    ref_protected: false,
    head_ref: '',
    base_ref: '',
    sha,
    server_url: serverUrl(options),
    api_url: apiUrl,
    graphql_url: enterprise ? apiUrl.replace(/v3$/, 'graphql') : `${apiUrl}/graphql`,
  }
}

/** The file's path in its repository. */
function workflowPath(file: string): string {
  return /\.github\/workflows\/.*$/.exec(file)?.[0] ?? `.github/workflows/${basename(file)}`
}

function serverUrl(options: RunOptions): string {
  return options.github?.serverUrl ?? 'https://github.com'
}
