import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createPortClient } from '../../port/client/port-client.ts'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import { createPortAsker } from '../../relay/deliveries/ask-port.ts'
import { type DispatchParts, dispatch } from '../../relay/deliveries/dispatch.ts'
import { type PortPause, tell } from '../../relay/deliveries/tell.ts'
import { tellQueue } from '../../relay/deliveries/tell-queue.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { createPauses } from '../../relay/github/pauses.ts'
import type { Delivery } from '../../relay/store/delivery.ts'
import { openStore } from '../../relay/store/open.ts'
import type { Store } from '../../relay/store/store.ts'
import { type GitHubApi, startGitHubApi } from './github-api.ts'
import { type PortApi, startPortApi } from './port-api.ts'
import { temporaryFolder } from './relay.ts'

/** The relay's work on deliveries, a step at a time, on a real SQLite file and with a clock that the test moves. */
export interface Dispatching {
  port: PortApi
  github: GitHubApi
  store: Store
  /** What a step works with. */
  parts: DispatchParts
  /** Until when Port wants the relay to wait. */
  portPause: PortPause
  warned: { fields: object; message: string }[]
  /** Milliseconds since 1970. */
  now(): number
  advance(ms: number): void
  /** Writes a delivery of `deploy` to acme/shop, with a run in Port. */
  accept(runId: string, repository?: string): Promise<string>
  /** One step of every delivery that is due; gives how many there were. */
  step(): Promise<number>
  /** Writes to those that a pause makes wait that they do; gives to how many. */
  tellQueue(): Promise<number>
  /** Says to Port what is due; gives to how many runs. */
  tell(): Promise<number>
  delivery(id: string): Promise<Delivery>
}

export async function openDispatching(
  options: { parts?: Partial<DispatchParts>; retention?: number } = {},
): Promise<Dispatching> {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi({ autoRun: true })])
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close(), store.close()])
  })
  let offset = 0
  const clock = () => Date.now() + offset
  const client = createPortClient({
    apiUrl: port.url,
    clientId: port.clientId,
    clientSecret: port.clientSecret,
    clock,
  })
  const auth = { token: github.token }
  const pauses = createPauses(auth, clock)
  const parts: DispatchParts = {
    store,
    github: createGitHub({ apiUrl: github.url, auth, webhookSecret: null, oidcIssuer: '' }, clock, pauses, {
      isAllowed: name => name !== 'acme/api',
    }),
    asker: createPortAsker(runId => client.run(runId).read(), clock),
    pauses,
    clock,
    publicUrl: null,
    startTimeout: 600_000,
    runTimeout: 86_400_000,
    tells: true,
    ...options.parts,
  }
  const warned: { fields: object; message: string }[] = []
  const log = { warn: (fields: object, message: string) => void warned.push({ fields, message }) }
  const giveUpAfter = options.retention ?? 2_592_000_000
  const portPause = { until: 0 }
  const queue = tellQueue({ store, pauses, clock })
  let accepted = 0
  return {
    port,
    github,
    store,
    parts,
    portPause,
    warned,
    now: clock,
    advance(ms) {
      offset += ms
    },
    async accept(runId, repository = 'acme/shop') {
      if (runId.startsWith('wfnr_')) port.createNodeRun({ id: runId })
      else port.createRun({ id: runId })
      const invocation = readInvocation({
        run: { id: runId },
        action: { identifier: 'deploy' },
        inputs: { a: 1 },
      })
      const { kind, action } = invocation
      const id = `d_${++accepted}`
      await store.accept({
        id,
        identity: `run:${runId}`,
        replayKey: null,
        organisation: 'default',
        workflow: null,
        ref: null,
        runId,
        kind,
        action,
        repository,
        eventType: 'deploy',
        invocation: JSON.stringify(invocation),
        receivedAt: clock(),
      })
      return id
    },
    async step() {
      const claimed = await store.claimQueued(clock(), 60_000, 100, pauses.shared)
      for (const delivery of claimed) await dispatch(delivery, parts)
      return claimed.length
    },
    async tellQueue() {
      let told = 0
      for (;;) {
        const claimed = await queue.claim(queue.concurrency)
        for (const delivery of claimed) await queue.step(delivery, new AbortController().signal)
        if (claimed.length === 0) return told
        told += claimed.length
      }
    },
    async tell() {
      const claimed = await store.claimTelling(clock(), 60_000, 100)
      for (const telling of claimed) {
        await tell(telling, { store, port: client, clock, log, giveUpAfter, pause: portPause })
      }
      return claimed.length
    },
    delivery: async id => (await store.get(id))!,
  }
}
