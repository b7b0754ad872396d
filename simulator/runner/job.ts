import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scopeEnv } from './child.ts'
import { type Contexts, evaluate, evaluateText, evaluateTexts } from './evaluate.ts'
import {
  createMasker,
  type JobState,
  jobStatus,
  RUNNER_NAME,
  type RunState,
  type Scope,
  stepContexts,
} from './job-state.ts'
import type { WorkflowJob } from './read-workflow.ts'
import { completeRecord, createStepRecord, startRecord } from './records.ts'
import { createStepLog, type StepLog } from './step-log.ts'
import { prepareSteps, simulateSteps } from './steps.ts'
import { refuse } from './template.ts'
import type { SimulatedJob, SimulatedStep, StepResult } from './types.ts'

export type JobPlan = {
  job: WorkflowJob
  /** The path of the workflow file that contains the job. */
  file: string
  simulated: SimulatedJob
  /** github, vars, needs, strategy, matrix, secrets, inputs. */
  contexts: Contexts
  /** `env:` of the workflow, unevaluated. */
  workflowEnv: WorkflowJob['env']
  cancelled: AbortSignal
}

/** The maximum time for everything after a cancel. */
const CANCEL_TIMEOUT_MS = 285_000

/** Runs one job: its steps, then the post steps in reverse order. No process outlives the job. */
export async function playJob(run: RunState, plan: JobPlan): Promise<void> {
  const { job, simulated: played, contexts } = plan
  if (job.container !== null) refuse(`"container" in job ${job.id}`)
  const cancelled = new AbortController()
  const ended = new AbortController()
  const state = await createJobState(
    run,
    plan,
    AbortSignal.any([cancelled.signal, plan.cancelled]),
    ended.signal,
  )
  const end = () => ended.abort()
  const timers: NodeJS.Timeout[] = []
  const limitCancel = () => timers.push(setTimeout(end, CANCEL_TIMEOUT_MS))
  state.cancelled.addEventListener('abort', limitCancel, { once: true })
  run.options.runnerLost?.addEventListener('abort', end, { once: true })
  if (run.options.runnerLost?.aborted) end()
  const minutes = Number(evaluate(job.timeoutMinutes, contexts))
  let timedOut = false
  timers.push(
    setTimeout(() => {
      timedOut = true
      cancelled.abort()
    }, minutes * 60_000),
  )
  try {
    played.status = 'in_progress'
    played.startedAt = new Date().toISOString()
    await playAll(state, () => {
      if (timedOut) return `The job has exceeded the maximum execution time of ${minutes} minutes.`
      return run.options.runnerLost?.aborted ? 'The runner has received a shutdown signal.' : null
    })
  } finally {
    state.cancelled.removeEventListener('abort', limitCancel)
    for (const timer of timers) clearTimeout(timer)
    run.options.runnerLost?.removeEventListener('abort', end)
    ended.abort()
    played.orphans.push(...(await endOrphans(state.trackingId)))
    await rm(state.temp, { recursive: true, force: true })
  }
}

async function createJobState(
  run: RunState,
  plan: JobPlan,
  cancelled: AbortSignal,
  ended: AbortSignal,
): Promise<JobState> {
  const { job, file, simulated: played, contexts } = plan
  const { inputs, secrets, ...shared } = contexts as Contexts & { secrets: Record<string, string> }
  const folder = join(run.root, `job-${played.databaseId}`)
  const [, name] = run.options.repository.split('/')
  const temp = join(folder, '_temp')
  const workspace = join(folder, name!, name!)
  const eventPath = join(temp, '_github_workflow', 'event.json')
  await mkdir(join(temp, '_github_workflow'), { recursive: true })
  await mkdir(workspace, { recursive: true })
  await writeFile(eventPath, JSON.stringify(run.event))
  const masker = createMasker()
  for (const secret of Object.values(secrets)) masker.add(secret)
  const oidc = mayMintTokens(job) ? (run.options.oidc ?? null) : null
  if (oidc) masker.add(oidc.requestToken)
  const github = { ...run.github, job: job.id, workspace, event_path: eventPath }
  const all: Contexts = { ...contexts, github }
  const env = { ...evaluateTexts(plan.workflowEnv, all), ...evaluateTexts(job.env, all) }
  const scope: Scope = {
    steps: {},
    inputs,
    secrets,
    actionPath: null,
    env,
    failed: false,
    simulated: played.steps,
    stop: null,
    posts: [],
    registerAround: null,
  }
  return {
    run,
    job,
    file,
    simulated: played,
    contexts: { ...shared, github },
    scope,
    addedEnv: {},
    addedPath: [],
    masker,
    trackingId: `github_${randomUUID()}`,
    temp,
    workspace,
    oidc,
    cancelled,
    ended,
  }
}

async function playAll(state: JobState, problem: () => string | null): Promise<void> {
  const { run, job, simulated: played, scope } = state
  const setUp = createStepRecord('setup', 'Set up job')
  const complete = createStepRecord('complete', 'Complete job')
  const contexts = () => stepContexts(state, scope, scopeEnv(state, scope))
  const prepared = await prepareSteps(state, job.steps, contexts())
  const pres = prepared.flatMap(one => one.pre ?? [])
  const mains = prepared.map(one => one.record)
  // GitHub reserves a number for each step's post step, so there is a gap before the numbers of the post steps.
  const arrange = () => {
    const posts = scope.posts.map(post => post.record).reverse()
    const starts = [setUp, ...pres, ...mains]
    const total = starts.length + mains.length + 1
    starts.forEach((record, index) => {
      record.number = index + 1
    })
    posts.forEach((record, index) => {
      record.number = total - posts.length + index + 1
    })
    complete.number = total + 1
    played.steps.splice(0, played.steps.length, ...starts, ...posts, complete)
  }
  const publish = () => {
    arrange()
    run.publish()
  }
  state.run = { ...run, publish }
  const playOwn = async (record: SimulatedStep, work: (log: StepLog) => Promise<void>) => {
    startRecord(record)
    publish()
    await work(createStepLog(record, state.masker))
    completeRecord(record, 'success')
    publish()
  }
  await playOwn(setUp, async log => {
    log.write(`Runner name: '${RUNNER_NAME}'`)
    for (const { step } of prepared) if (step.uses !== null) log.write(`Prepare action "${step.uses}"`)
  })

  await simulateSteps(state, scope, prepared)
  for (const post of scope.posts.toReversed()) await post.simulate()

  const failure = problem()
  if (failure !== null) createStepLog(setUp, state.masker).annotate('error', failure)
  const lost = run.options.runnerLost?.aborted === true
  if (!lost) {
    startRecord(complete)
    const endLog = createStepLog(complete, state.masker)
    played.outputs = readOutputs(state, contexts(), text => endLog.annotate('warning', text))
    completeRecord(complete, 'success')
  }
  played.conclusion = lost ? 'failure' : (jobStatus(state) as StepResult)
  const goesOn = evaluate(job.continueOnError, contexts()) === true
  played.result = played.conclusion === 'failure' && goesOn ? 'success' : played.conclusion
  played.status = 'completed'
  played.completedAt = new Date().toISOString()
  state.run.publish()
}

/** GitHub drops outputs that contain a secret. */
function readOutputs(
  state: JobState,
  contexts: Contexts,
  warn: (text: string) => void,
): Record<string, string> {
  const outputs: Record<string, string> = {}
  for (const [name, template] of Object.entries(state.job.outputs)) {
    const value = evaluateText(template, contexts)
    if (state.masker.mask(value) === value) outputs[name] = value
    else warn(`Skip output '${name}' since it may contain secret.`)
  }
  return outputs
}

function mayMintTokens(job: WorkflowJob): boolean {
  const permissions = job.permissions
  if (permissions === 'write-all') return true
  if (typeof permissions !== 'object' || permissions === null) return false
  return 'id-token' in permissions && permissions['id-token'] === 'write'
}

/**
 * Kills the processes that a job left behind, even detached ones, and returns them. As in the runner, their environment
 * contains `RUNNER_TRACKING_ID`. On systems without `/proc`, none are found. Source: JobExtension.cs of actions/runner.
 */
async function endOrphans(trackingId: string): Promise<SimulatedJob['orphans']> {
  const orphans = new Map<number, string>()
  for (let round = 0; round < 20; round++) {
    const ids = (attempt(() => readdirSync('/proc')) ?? []).filter(name => /^\d+$/.test(name))
    const commands = await Promise.all(ids.map(id => commandOf(id, trackingId)))
    const found = ids.flatMap((id, index) =>
      commands[index] ? [[Number(id), commands[index]] as const] : [],
    )
    if (found.length === 0) break
    for (const [pid, command] of found) {
      orphans.set(pid, command)
      // The process may have exited in the meantime.
      attempt(() => process.kill(pid, 'SIGKILL'))
    }
    await sleep(10)
  }
  return [...orphans].map(([pid, command]) => ({ pid, command }))
}

/** Returns the command of a job's live process; '' for other processes. An exited process has no environment. */
async function commandOf(id: string, trackingId: string): Promise<string> {
  const environment = (await readSettled(id, 'environ')).split('\0')
  if (!environment.includes(`RUNNER_TRACKING_ID=${trackingId}`)) return ''
  return (await readSettled(id, 'cmdline')).replaceAll('\0', ' ').trim()
}

/** Reads a process's file in /proc. Retries if the file is empty, as it is for a live process during `execve`. */
async function readSettled(id: string, file: 'environ' | 'cmdline'): Promise<string> {
  const read = (name: string) => attempt(() => readFileSync(`/proc/${id}/${name}`, 'utf8')) ?? ''
  for (let n = 0; n < 100; n++) {
    const text = read(file)
    if (text !== '' || (file === 'environ' && read('cmdline') !== '')) return text || read(file)
    // Zombies and kernel threads have no program.
    if (attempt(() => readlinkSync(`/proc/${id}/exe`)) === undefined) return ''
    await sleep(5)
  }
  return ''
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
