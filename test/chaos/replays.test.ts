import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'

test.each(['SQLite', 'PostgreSQL'])(
  'a webhook that was accepted, or canceled a run, starts nothing at another URL; a refused webhook is judged again (%s)',
  async kind => {
    const github = await startGitHubApi()
    onTestFinished(() => github.close())
    for (const name of ['acme/shop', 'acme/web']) github.addRepository(name)
    const env = { GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token }
    const shared = relayEnv({ ...env, RELAY_ALLOWED_REPOSITORIES: 'acme/shop,acme/web' })
    if (kind === 'PostgreSQL') shared.RELAY_DATABASE = await newDatabase()
    let relay = await startRelay(shared)
    const timestamp = String(Math.floor(Date.now() / 1000))
    const again = (path: string, body: unknown) => send(relay.url, { path, body, timestamp })
    const refused = ['/webhook/acme/foreign', { run: { id: 'r_2' }, inputs: {} }] as const
    const captured: [path: string, body: unknown, first: number, later: number][] = [
      ['/webhook/acme/shop', { run: { id: 'r_1' }, inputs: {} }, 202, 200],
      ['/webhook/acme/shop', { inputs: {} }, 202, 200],
      ['/webhook/cancel', { run_id: 'r_unknown' }, 200, 200],
      ['/webhook/cancel', { run_id: 'r_1' }, 202, 202],
    ]
    const firsts: unknown[] = []
    for (const [path, body, status] of captured) {
      const first = await again(path, body)
      expect(first.status, path).toBe(status)
      firsts.push(first.body)
    }
    expect((await again(...refused)).status).toBe(403)
    const replayAll = async () => {
      for (const [n, [path, body, , status]] of captured.entries()) {
        for (const elsewhere of ['/webhook/acme/web', '/webhook/acme/web?event_type=x', '/webhook/cancel']) {
          if (elsewhere !== path)
            expect(await again(elsewhere, body), `${path} at ${elsewhere}`).toMatchObject({
              status: 409,
              body: { detail: expect.stringContaining('was received at another address') },
            })
        }
        const { status: same, body: response } = await again(path, body)
        expect(same, path).toBe(status)
        if (firsts[n] && n > 1) expect(response, path).toEqual(firsts[n])
      }
    }
    await replayAll()
    // Digests and responses survive a restart. The restarted relay also allows acme/foreign.
    await relay.stop()
    relay = await startRelay({ ...shared, RELAY_ALLOWED_REPOSITORIES: 'acme/shop,acme/web,acme/foreign' })
    expect((await again(...refused)).status).toBe(202)
    captured.push([...refused, 202, 200])
    await replayAll()
    expect(github.dispatches.filter(({ repository }) => repository === 'acme/web')).toEqual([])
    await relay.stop()
  },
  60_000,
)
