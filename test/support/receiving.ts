import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { createDatabaseCheck, createReadiness, NO_PROBLEMS } from '../../relay/admin/health.ts'
import { createApp } from '../../relay/app.ts'
import { readConfig } from '../../relay/config/config.ts'
import type { Transition } from '../../relay/delivery/delivery.ts'
import { createRelayServer } from '../../relay/http/server.ts'
import type { Claimed, Store } from '../../relay/store/store.ts'
import type { ApplyEvent } from '../../relay/workers/apply.ts'
import { listenHere } from './listen-here.ts'
import { relayEnv, temporaryFolder } from './relay.ts'
import { type Webhook, webhookRequest } from './requests.ts'
import { openStoreHere } from './store-here.ts'

/** The relay's intake without a socket: the HTTP app with a real SQLite file. */
export type Receiving = Awaited<ReturnType<typeof openReceiving>>

/** Opens the intake for one test. `env` overrides the minimal environment. */
export async function openReceiving(
  options: {
    env?: Record<string, string>
    clock?: () => number
    files?: Record<string, string>
    store?: Partial<Store>
  } = {},
) {
  const { env = {}, clock = Date.now, files = {} } = options
  const config = readConfig(relayEnv(env), path => {
    if (files[path] === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return files[path]
  })
  const real = await openStoreHere(join(temporaryFolder(), 'relay.db'))
  onTestFinished(real.close)
  const logged: { fields: Record<string, unknown>; message: string }[] = []
  const note = (fields: object, message: string) => void logged.push({ fields: { ...fields }, message })
  const store = { ...real, ...options.store }
  const apply: ApplyEvent = async delivery => ({ outcome: 'ignored', delivery })
  const checkDatabase = createDatabaseCheck(store, { error: note })
  const { app, receive } = createApp({
    ...{ config, challengeKey: 'a key' },
    store,
    apply,
    clock,
    log: { info: note, error: note },
    throttled: { info: note, error: note },
    checkDatabase,
    readinessRoute: createReadiness({
      checkDatabase,
      sides: { isUsed: () => false, lastSuccess: () => null, isKnown: () => false },
      health: { inMemory: () => NO_PROBLEMS },
    }),
  })
  const request = async (path: string, init?: RequestInit) => app.request(path, init)
  const poster = (send: typeof request) => async (webhook?: Webhook) => {
    const { path, init } = webhookRequest(webhook)
    const response = await send(path, init)
    const text = await response.text()
    const body: JsonObject = text && JSON.parse(text)
    return { status: response.status, headers: response.headers, body }
  }
  return {
    request,
    /** Sends a webhook as Port does. */
    post: poster(request),
    /** Listens, and returns a function that sends webhooks over sockets, which bypass Hono. */
    async listen() {
      const url = `http://127.0.0.1:${await listenHere(createRelayServer(app.fetch, () => {}, receive))}`
      return poster((path, init) => fetch(url + path, init))
    },
    /** Takes all persisted deliveries out of the queue, oldest first per repository. */
    written: () => takeAll(real),
    logged,
  }
}

/** Claims and finishes all queued deliveries. Each claim returns at most one delivery per repository. */
async function takeAll(store: Store): Promise<Claimed[]> {
  const found: Claimed[] = []
  const finished: Transition = { change: { state: 'finished', dueAt: null }, messages: [], history: null }
  for (;;) {
    const claimed = await store.claimQueued(2 ** 52, 1, 1000, 'owner:')
    if (claimed.length === 0) return found
    found.push(...claimed)
    for (const each of claimed) await store.apply([{ delivery: each, transition: finished }], 0)
  }
}
