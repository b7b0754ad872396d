import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createPortClient } from '../../port/client/port-client.ts'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import { createPortAsker } from '../../relay/deliveries/ask-port.ts'
import { createWatching } from '../../relay/deliveries/create-watching.ts'
import { dispatch } from '../../relay/deliveries/dispatch.ts'
import { tell } from '../../relay/deliveries/tell.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { createPauses } from '../../relay/github/pauses.ts'
import { toWorkflowRun } from '../../relay/github/workflow-run.ts'
import type { Delivery } from '../../relay/store/delivery.ts'
import { openStore } from '../../relay/store/open.ts'
import type { Store } from '../../relay/store/store.ts'
import { type GitHubApi, type GitHubRun, startGitHubApi } from '../support/github-api.ts'
import { type PortApi, startPortApi } from '../support/port-api.ts'
import { temporaryFolder } from '../support/relay.ts'

export const START_TIMEOUT = 60_000
export const RUN_TIMEOUT = 300_000

/** The watch at work on a real SQLite file and the stand-ins, with a clock that the test moves. */
export interface Stage {
  port: PortApi
  github: GitHubApi
  store: Store
  now(): number
  /** Writes a delivery of `deploy` with a run in Port, and dispatches it. */
  dispatch(runId: string, repository?: string): Promise<string>
  /** Redelivers a failed delivery as a person does, and dispatches it. */
  redeliver(id: string): Promise<void>
  /** A relay that knows nothing but what is in the store takes over. */
  restart(): void
  /** Replaces the workflows of acme/shop. */
  workflows(workflows: { name: string; state: 'active' | 'disabled_manually' }[]): void
  /** A run on GitHub, made now, under the title that the workflow's `run-name` gives. */
  run(title: string, more?: Partial<GitHubRun>): GitHubRun
  /** Ends a run now. */
  end(run: GitHubRun, conclusion: string | null): void
  /** What GitHub's webhook brings: the run as it is, and a wake-up. */
  webhook(delivery: string, run: GitHubRun): Promise<void>
  /** Takes every step that comes due within this time, each at its time, and tells Port. */
  pass(ms: number): Promise<void>
  delivery(id: string): Promise<Delivery>
}

export async function openStage(
  options: { actions?: 'read' | 'none'; blind?: boolean; startTimeout?: number } = {},
): Promise<Stage> {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close(), store.close()])
  })
  const permissions = { contents: 'write', metadata: 'read', actions: options.actions ?? 'read' } as const
  const workflows = [{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'] }]
  github.addRepository('acme/shop', { permissions, workflows })

  let at = Date.now()
  const clock = () => at
  const client = createPortClient({
    apiUrl: port.url,
    clientId: port.clientId,
    clientSecret: port.clientSecret,
  })
  const times = { startTimeout: options.startTimeout ?? START_TIMEOUT, runTimeout: RUN_TIMEOUT }
  const auth = { token: github.token }
  const pauses = createPauses(auth, clock)
  const hub = createGitHub({ apiUrl: github.url, auth, webhookSecret: null, oidcIssuer: '' }, clock, pauses)
  const open = () =>
    createWatching({ store, github: hub, port: options.blind ? null : client, ...times, clock })
  let watching = open()
  const parts = {
    store,
    github: hub,
    pauses,
    asker: createPortAsker(null, clock),
    clock,
    publicUrl: null,
    tells: true,
    ...times,
  }
  const log = { warn() {} }

  async function tellAll(): Promise<void> {
    for (;;) {
      const telling = await store.claimTelling(at, 60_000, 100)
      if (telling.length === 0) return
      for (const each of telling) {
        await tell(each, { store, port: client, clock, log, giveUpAfter: 36e5 })
      }
    }
  }

  async function step(): Promise<void> {
    for (const claimed of await store.claimQueued(at, 60_000, 10, pauses.shared))
      await dispatch(claimed, parts)
    await tellAll()
  }

  return {
    port,
    github,
    store,
    now: clock,
    async redeliver(id) {
      if ((await store.redeliver(id, at)) !== 'queued') throw new Error(`${id} has not failed`)
      await step()
    },
    restart() {
      watching = open()
    },
    async dispatch(runId, repository = 'acme/shop') {
      if (runId.startsWith('wfnr_')) port.createNodeRun({ id: runId })
      else port.createRun({ id: runId })
      const invocation = readInvocation({ run: { id: runId }, inputs: {} }, undefined)
      const id = `delivery-${runId}`
      await store.accept({
        id,
        identity: `run:${runId}`,
        replayKey: null,
        organisation: 'default',
        workflow: null,
        ref: null,
        runId,
        kind: runId.startsWith('wfnr_') ? 'node_run' : 'action_run',
        action: 'deploy',
        repository,
        eventType: 'deploy',
        invocation: JSON.stringify(invocation),
        receivedAt: at,
      })
      await step()
      return id
    },
    workflows: given =>
      void github.addRepository('acme/shop', {
        permissions,
        workflows: given.map(each => ({ ...each, path: '.github/workflows/a.yml', eventTypes: ['deploy'] })),
      }),
    run: (title, more) =>
      github.createRun({
        repository: 'acme/shop',
        displayTitle: title,
        createdAt: iso(at),
        status: 'queued',
        ...more,
      }),
    end(run, conclusion) {
      github.setRun(run.id, { status: 'completed', conclusion, updatedAt: iso(at) })
    },
    async webhook(delivery, run) {
      watching.lister.observe('acme/shop', toWorkflowRun(shown(run)))
      await store.wakeDelivery(delivery, at)
    },
    async pass(ms) {
      const end = at + ms
      for (;;) {
        const claimed = await store.claimWatched(at, 60_000, 100)
        await Promise.all(claimed.map(watching.watch))
        await tellAll()
        if (claimed.length > 0) continue
        const open = await Promise.all(
          (['dispatched', 'running'] as const).map(state => store.list({ state, limit: 5_000 })),
        )
        const next = Math.min(...open.flat().map(({ dueAt }) => dueAt ?? Number.POSITIVE_INFINITY))
        if (next > end) break
        at = Math.max(at, next)
      }
      at = end
    },
    async delivery(id) {
      const found = await store.get(id)
      if (!found) throw new Error(`no delivery ${id}`)
      return found
    },
  }
}

export const iso = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`

const shown = (run: GitHubRun) => ({
  id: run.id,
  run_attempt: run.runAttempt,
  workflow_id: run.workflowId,
  event: run.event,
  display_title: run.displayTitle,
  status: run.status,
  conclusion: run.conclusion,
  html_url: `https://github.example/${run.repository}/actions/runs/${run.id}`,
  created_at: run.createdAt,
  updated_at: run.updatedAt,
})
