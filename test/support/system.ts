import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Hono } from 'hono'
import { onTestFinished } from 'vitest'
import { createPortClient } from '../../port/client/client.ts'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { Conclusion, ReportedJob, RunUpdate } from '../../port/types.ts'
import type { Delivery, Evidence, Message, NewDelivery } from '../../relay/delivery/delivery.ts'
import { joinLogs } from '../../relay/delivery/outbox-policy.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { createRateLimitPauses } from '../../relay/github/rate-limit-pause.ts'
import { type Problem, sendProblem } from '../../relay/http/problem.ts'
import { createGitHubWebhook } from '../../relay/intake/github-webhook.ts'
import { runKey } from '../../relay/store/sql/intake.ts'
import type { Store } from '../../relay/store/store.ts'
import { createDispatchRate, createNotifyWaiting, DISPATCH_LEASE_MS } from '../../relay/workers/dispatch.ts'
import { createFindByTitle, createFindOwners } from '../../relay/workers/find-runs.ts'
import { OUTBOX_LEASE_MS } from '../../relay/workers/outbox.ts'
import { createTimeouts } from '../../relay/workers/timeouts.ts'
import { createEngine, POLL_LEASE_MS } from '../../relay/workers/workers.ts'
import { type GitHubRun, startGitHubApi } from '../../simulator/github/github.ts'
import { startPortApi } from '../../simulator/port/port.ts'
import { temporaryFolder } from './relay.ts'
import { gitHubRequest, runWebhook } from './requests.ts'
import { openStoreHere } from './store-here.ts'

export const START_TIMEOUT = 60_000
export const RUN_TIMEOUT = 300_000
/** A signal that never aborts. */
export const NEVER = new AbortController().signal
export const WEBHOOK_SECRET = 'a secret of the webhook'

/** The engine with a real SQLite file, the fakes, and a clock that the test controls. */
export type System = Awaited<ReturnType<typeof startSystem>>

export interface SystemOptions {
  actions?: 'read' | 'write' | 'none'
  /** Whether the relay has no Port credentials. */
  blind?: boolean
  startTimeout?: number
  runTimeout?: number
  retention?: number
  autoRun?: boolean
  /** GitHub's clock minus the relay's clock (ms). */
  clockOffset?: number
  /** Replaces the default store, which has no threads. `pass` doesn't work with this option. */
  file?: Store
}

export async function startSystem(options: SystemOptions = {}) {
  const { retention = 30 * 86_400_000 } = options
  let { clockOffset = 0 } = options
  let at = Date.now()
  const clock = () => at
  const [port, github] = await Promise.all([
    startPortApi(),
    startGitHubApi({
      autoRun: options.autoRun ?? false,
      get clockSkewMs() {
        return at + clockOffset - Date.now()
      },
    }),
  ])
  const path = join(temporaryFolder(), 'relay.db')
  const file = options.file ?? (await openStoreHere(path))
  const reader = options.file ? null : new DatabaseSync(path, { readOnly: true })
  const dueAfter = reader?.prepare(
    `SELECT min(due_at) AS due FROM deliveries WHERE state IN ('queued', 'dispatched', 'running') AND due_at > ?`,
  )
  /** Delivery id → when its outbox is due. */
  const retries = new Map<string, number>()
  let difference = await file.clockDifference()
  const store: Store = {
    ...file,
    clock,
    async saveClockDifference(changed) {
      difference = changed
    },
    async settleOutbox(page, sent, retryAt, now) {
      retries.set(page.delivery, retryAt ?? now)
      return file.settleOutbox(page, sent, retryAt, now)
    },
  }
  onTestFinished(async () => {
    reader?.close()
    await Promise.all([port.close(), github.close(), file.close()])
  })
  const { actions = 'read' } = options
  const permissions = { checks: 'read', contents: 'write', metadata: 'read', actions } as const
  const deploy = { path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'] }
  github.addRepository('acme/shop', { permissions, workflows: [deploy] })

  const { apiUrl, clientId, clientSecret } = { apiUrl: port.url, ...port }
  const client = options.blind
    ? null
    : createPortClient({ apiUrl, clientId, clientSecret, clock, readNodeRuns: true })
  const policy = () => ({
    startTimeout: options.startTimeout ?? START_TIMEOUT,
    runTimeout: options.runTimeout ?? RUN_TIMEOUT,
    serverUrl: github.serverUrl,
    timeoutsFrom: timeouts.from(),
  })
  const auth = { token: github.token }
  const pauses = createRateLimitPauses(auth, clock, closed => void store.savePause(closed))
  const config = { apiUrl: github.url, auth, webhookSecret: null, oidcIssuer: '' }
  const isAllowed = (name: string) => name !== 'acme/api'
  /** The number of GitHub requests at the relay's start. The relay knows GitHub's clock only from later responses. */
  let asked = 0
  const hub = {
    ...createGitHub(config, clock, pauses, { isAllowed }),
    clockOffset: () => (github.requests.length > asked ? clockOffset : null),
  }
  const logged: { fields: Record<string, unknown>; message: string }[] = []
  const line = (fields: object, message: string) => void logged.push({ fields: { ...fields }, message })
  const log = { debug: line, info: line, warn: line, error: line }
  const warned: { fields: object; message: string }[] = []
  const warn = (fields: object, message: string) => void warned.push({ fields, message })
  const findOwners = createFindOwners(createFindByTitle(store))
  const openTimeouts = () => createTimeouts({ store, clockOffset: hub.clockOffset, stored: difference, log })
  let timeouts = openTimeouts()
  const open = () =>
    createEngine({
      ...{ store, github: hub, pauses, client, findOwners, policy, publicUrl: null, retention },
      rate: createDispatchRate(0),
      log: { ...log, warn },
      throttled: { warn },
      onTransition() {},
      onAttempt() {},
    })
  let engine = open()
  const notifyWaiting = createNotifyWaiting({
    ...{ store, pauses, port: { client }, apply: (...given) => engine.apply(...given) },
    freezes: { active: () => engine.freezes.active() },
  })
  const receive = createGitHubWebhook({
    ...{
      secret: WEBHOOK_SECRET,
      trustedProxies: 0,
      store,
      findOwners,
      throttled: log,
      clockOffset: hub.clockOffset,
    },
    startTimeout: policy().startTimeout,
    apply: (...given) => engine.apply(...given),
  })
  const app = new Hono().post('/github', receive)
  app.onError((error, c) => sendProblem(c, error as Problem))
  let accepted = 0

  async function get(id: string): Promise<Delivery> {
    const found = await store.get(id)
    if (!found) throw new Error(`There is no delivery ${id}`)
    return found
  }

  /** Sends a signed GitHub webhook. */
  async function githubEvent(name: string, given: object): Promise<void> {
    const request = gitHubRequest(name, given, WEBHOOK_SECRET)
    const headers = { ...request.headers, 'content-length': String(Buffer.byteLength(request.body)) }
    const response = await app.request('/github', { ...request, headers })
    if (response.status !== 202) throw new Error(`The webhook returned ${response.status}`)
  }

  /** Dispatches every due delivery. Returns the number of deliveries. */
  async function step(): Promise<number> {
    const claimed = await store.claimQueued(at, DISPATCH_LEASE_MS, 100, pauses.scope)
    for (const delivery of claimed) await engine.dispatch(delivery, NEVER)
    return claimed.length
  }

  /** Sends the due messages to Port. Returns the number of deliveries that they belong to. */
  async function send(): Promise<number> {
    const pages = await store.claimOutboxes(at, OUTBOX_LEASE_MS, 100)
    for (const page of pages) {
      retries.delete(page.delivery)
      await engine.outbox(page, NEVER)
    }
    return pages.length
  }

  /** Does all work that is due now. */
  async function settle(): Promise<void> {
    for (let sent = -1; sent !== 0; ) {
      while ((await step()) > 0);
      for (;;) {
        const claimed = await store.claimPolls(at, POLL_LEASE_MS, 100)
        if (claimed.length === 0) break
        await Promise.all(claimed.map(delivery => engine.poll(delivery)))
      }
      sent = await send()
    }
  }

  async function nextDue(): Promise<number> {
    const { due } = dueAfter!.get(at) as { due: number | null }
    const pauses = (await store.activePauses(at)).map(closed => closed.pausedUntil)
    const dues = [due ?? Number.POSITIVE_INFINITY, ...pauses, ...retries.values()]
    return Math.min(...dues.filter(each => each > at))
  }

  /** Persists a delivery of `deploy`, with a run in Port. */
  async function accept(runId: string, repository = 'acme/shop', more: Partial<NewDelivery> = {}) {
    const isNode = runId.startsWith('wfnr_')
    const { workflowRunId } = isNode ? port.createNodeRun({ id: runId }) : { workflowRunId: undefined }
    if (!isNode) port.createRun({ id: runId })
    const about = {
      action: { identifier: 'deploy' },
      ...(isNode && { workflowRun: { identifier: workflowRunId } }),
    }
    const body = { run: { id: runId }, inputs: { a: 1 }, ...about }
    const invocation = readInvocation(body, undefined)
    const { kind, action } = invocation
    const id = `d_${++accepted}`
    await store.accept({
      ...{
        id,
        dedupeKey: runKey(runId),
        sentAs: '',
        signature: null,
        runId,
        kind,
        action,
        repository,
        receivedAt: at,
      },
      ...{ eventType: 'deploy', workflow: null, ref: null },
      invocation: JSON.stringify(invocation),
      ...more,
    })
    return id
  }

  return {
    ...{ port, github, hub, pauses, store, logged, warned, accept, step, send, settle, app },
    engine: () => engine,
    now: clock,
    /** Advances only the clock. */
    advance(ms: number) {
      at += ms
    },
    /** Notifies Port about deliveries that wait because of a rate-limit pause. */
    notifyWaiting,
    /** Returns the time of the next retry of the delivery's messages (ms since 1970). */
    retryAt: (id: string) => retries.get(id) ?? Number.NaN,
    /** Advances the clock, and does all work at the time when it becomes due. */
    async pass(ms: number) {
      const end = at + ms
      await settle()
      for (let next = await nextDue(); next <= end; next = await nextDue()) {
        at = next
        await settle()
      }
      at = end
    },
    /** Accepts and dispatches a delivery. */
    async dispatch(...given: Parameters<typeof accept>) {
      const id = await accept(...given)
      await step()
      await send()
      return id
    },
    /** Redelivers a failed delivery as a user does, then dispatches it. */
    async redeliver(id: string) {
      const { outcome } = await engine.apply(await get(id), { type: 'redelivered' })
      if (outcome !== 'applied') throw new Error(`${id} cannot be redelivered`)
      await step()
    },
    /** Adds the action's messages to the outbox. */
    async report(id: string, messages: Message[]) {
      const transition = { change: {}, messages: joinLogs(messages), history: null }
      const [isApplied] = await store.apply([{ delivery: await get(id), transition }], at)
      if (!isApplied) throw new Error(`${id} has changed`)
    },
    /** Sends an action report, authenticated by OIDC. Returns whether the workflow run is bound. */
    async bind(id: string, githubRunId: number, attempt = 1) {
      const run = {
        ...{ id: githubRunId, attempt, evidence: 'report' as const, past: false },
        ...{ status: 'in_progress', conclusion: null, url: '', reportsConclusion: true },
      }
      const { delivery } = await engine.apply(await get(id), { type: 'runReported', run })
      return delivery.runs.some(each => each.id === githubRunId && !each.past)
    },
    /** Reports the result of a job, as the action's post step does. Port gets it with the final update. */
    async reportJob(
      id: string,
      conclusion: Conclusion,
      { attempt = 1, ...more }: Partial<ReportedJob & RunUpdate> & { attempt?: number } = {},
    ) {
      const { id: jobId = 1, name = 'deploy', author = 'success', ownSummary = false, ...update } = more
      const job = { id: jobId, name, author, ownSummary }
      const messages = [{ update: { conclusion, summary: `Job: ${conclusion}`, job, ...update } }]
      await engine.apply(await get(id), { type: 'reportReceived', messages, attempt, ending: true })
    },
    /** Replaces the relay with a new relay that shares only the store. */
    restart() {
      asked = github.requests.length
      timeouts = openTimeouts()
      engine = open()
    },
    /** Sets the clock of the database's machine. GitHub's clock goes on. */
    setClock(ms: number) {
      at += ms
      clockOffset -= ms
    },
    timeouts: () => timeouts,
    /** Replaces the workflows of acme/shop. */
    workflows(given: { name: string; state: 'active' | 'disabled_manually' }[]) {
      const file = { path: '.github/workflows/a.yml', eventTypes: ['deploy'] }
      github.addRepository('acme/shop', { permissions, workflows: given.map(each => ({ ...each, ...file })) })
    },
    /** Creates a run on GitHub with this title. */
    run(displayTitle: string, more?: Partial<GitHubRun>) {
      const createdAt = iso(at + clockOffset)
      return github.createRun({ repository: 'acme/shop', displayTitle, createdAt, status: 'queued', ...more })
    },
    /** Finishes a run now. */
    end(run: GitHubRun, conclusion: string | null) {
      github.setRun(run.id, { status: 'completed', conclusion, updatedAt: iso(at + clockOffset) })
    },
    /** Sends GitHub's signed webhook about the run's current state. */
    webhook: (run: GitHubRun) =>
      githubEvent('workflow_run', { ...runWebhook(run, 'https://github.example'), action: 'completed' }),
    githubEvent,
    delivery: get,
    /** Returns the types in the delivery's history. */
    history: async (id: string) => (await store.history(id)).map(({ type }) => type),
    /** Returns the delivery's current workflow runs and their evidence. */
    async runs(id: string) {
      const current = (await get(id)).runs.filter(run => !run.past)
      return current.map((run): [number, Evidence] => [run.id, run.evidence])
    },
  }
}

/** The ID of the run in Port in {@link startWithRun}. */
export const RUN = 'r_A1b2C3d4E5f6G7h8'

/** Starts a system with a dispatched delivery and its workflow run, whose title contains {@link RUN}. */
export async function startWithRun(options: SystemOptions = {}, more: Partial<GitHubRun> = {}) {
  const system = await startSystem(options)
  const id = await system.dispatch(RUN)
  return { system, id, run: system.run(`deploy ${RUN}`, more) }
}

export const iso = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
