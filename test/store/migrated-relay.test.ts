import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay, temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { type LandedDelivery, writeLanded } from './landed-database.ts'
import type { Address } from './place.ts'

const TOKEN = 'an-admin-token-for-the-migration'
const PATIENCE_MS = 60_000
/** So long ago that a run would have been seen. */
const LONG_AGO_MS = 120_000

test.each(['sqlite', 'postgres'] as const)(
  'a relay started on a database of the version before, %s, loses nothing, sends nothing twice and ends every run',
  async kind => {
    const address = await newAddress(kind)
    const [port, github] = await Promise.all([startPortApi(), startGitHubApi({ autoRun: true })])
    onTestFinished(async () => {
      await Promise.all([port.close(), github.close()])
    })
    const at = Date.now() - LONG_AGO_MS
    const runs = new Map<string, number>()
    const rows = LANDED.map(({ name, isStarted, ...row }): LandedDelivery => {
      const [repository, runId] = [`acme/${name}`, runIdOf(name)]
      port.createRun({ id: runId, action: 'deploy' })
      github.addRepository(repository, { workflows: [WORKFLOW] })
      if (isStarted) {
        const createdAt = `${new Date(at).toISOString().slice(0, 19)}Z`
        const displayTitle = `deploy ${runId}`
        const run = github.createRun({ repository, displayTitle, createdAt, status: 'in_progress' })
        runs.set(name, run.id)
      }
      const isBound = row.state === 'running' || row.state === 'finished'
      return {
        ...{ id: name, run_id: runId, repository, at, due_at: at, invocation: invocationOf(runId) },
        ...row,
        ...(isBound && { github_run_id: runs.get(name)!, github_run_attempt: 1 }),
        ...('sent' in row && { sent_at: at }),
        ...(isBound && { sent_at: at, dispatched_at: at }),
      }
    }).map(({ sent: _, ...row }: LandedDelivery & { sent?: boolean }) => row)
    await writeLanded(address, rows)

    const relay = await startRelay(
      relayEnv({
        PORT_CLIENT_ID: port.clientId,
        PORT_CLIENT_SECRET: port.clientSecret,
        PORT_API_URL: port.url,
        GITHUB_API_URL: github.url,
        GITHUB_TOKEN: github.token,
        RELAY_ALLOWED_REPOSITORIES: 'acme/*',
        RELAY_ADMIN_TOKEN: TOKEN,
        RELAY_DATABASE: address.kind === 'sqlite' ? `sqlite:${address.path}` : address.url,
      }),
    )
    const api = async (path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${TOKEN}` }
      return (await fetch(`${relay.url}/api/deliveries${path}`, { ...init, headers })).json()
    }
    const stateOf = async (name: string) => ((await api(`/${name}`)) as { state: string }).state
    await api('/failed/redeliver', { method: 'POST' })
    for (const { name } of LANDED.filter(({ state }) => state !== 'finished')) {
      await until(async () => (await stateOf(name)) === 'running', `${name} runs`, PATIENCE_MS)
    }
    const dispatched = github.dispatches.map(({ repository }) => repository).toSorted()
    expect(dispatched).toEqual(['deferred', 'failed', 'never-ran', 'never-tried'].map(name => `acme/${name}`))
    expect(github.dispatches.every(({ clientPayload }) => clientPayload.action === 'deploy')).toBe(true)

    for (const run of github.runs) github.setRun(run.id, { status: 'completed', conclusion: 'success' })
    for (const { name } of LANDED) {
      await until(async () => (await stateOf(name)) === 'finished', `${name} finishes`, PATIENCE_MS)
      await until(() => port.run(runIdOf(name)).status !== 'IN_PROGRESS', `${name} ends in Port`, PATIENCE_MS)
    }
    const status = (name: string) => port.run(runIdOf(name)).status
    expect(LANDED.map(({ name }) => [name, status(name)])).toEqual(
      LANDED.map(({ name }) => [name, name === 'ended' ? 'FAILURE' : 'SUCCESS']),
    )
    const lines = port.run(runIdOf('ended')).logs.flatMap(({ message }) => message.split('\n'))
    expect(lines).toEqual(['one', 'two', 'three'])
    expect(port.entities).toMatchObject([{ blueprint: 'service', identifier: 'shop' }])
    expect(github.dispatches).toHaveLength(dispatched.length)
  },
  240_000,
)

const ENDED = [
  { log: [{ level: 'INFO', message: 'one' }] },
  { log: [{ level: 'INFO', message: 'two' }] },
  { entity: { blueprint: 'service', properties: { identifier: 'shop' } } },
  { log: [{ level: 'ERROR', message: 'three' }] },
  { update: { conclusion: 'failure', statusLabel: 'Failed', summary: 'It failed.' } },
]
const attempts = [{ at: Date.now() - LONG_AGO_MS, outcome: 'GitHub does not answer' }]

/** `isStarted`: a run of it shows on GitHub. `sent`: a dispatch was sent whose answer was not recorded. */
const LANDED: (Partial<LandedDelivery> & {
  name: string
  state: string
  isStarted?: boolean
  sent?: boolean
})[] = [
  { name: 'never-tried', state: 'queued' },
  { name: 'deferred', state: 'queued', attempts: [...attempts, ...attempts] },
  { name: 'lost-answer', state: 'queued', attempts, sent: true, isStarted: true },
  { name: 'never-ran', state: 'queued', sent: true },
  {
    name: 'dispatched',
    state: 'dispatched',
    sent: true,
    isStarted: true,
    dispatched_at: Date.now() - LONG_AGO_MS,
  },
  { name: 'running', state: 'running', isStarted: true },
  { name: 'failed', state: 'failed', reason: 'No workflow', past_runs: [1, 2] },
  { name: 'ended', state: 'finished', isStarted: true, messages: ENDED },
]

const WORKFLOW = {
  path: '.github/workflows/deploy.yml',
  name: 'Deploy',
  eventTypes: ['deploy'],
  runName: (payload: Record<string, unknown>) => `${payload.action} ${payload.run_id}`,
}

const runIdOf = (name: string) => `r_${name.replaceAll('-', '')}A1b2C3d4`

const invocationOf = (runId: string) => ({
  ...{ runId, runIdFrom: 'body', kind: 'action_run', action: 'deploy', operation: null, blueprint: null },
  ...{ entity: null, inputs: { a: 1 }, encrypted: [], event: null, trigger: null, github: null },
})

async function newAddress(kind: Address['kind']): Promise<Address> {
  if (kind === 'sqlite') return { kind, path: join(temporaryFolder(), 'relay.db') }
  return { kind, url: await newDatabase() }
}
