import { describe, expect, test } from 'vitest'
import { iso, type System, startSystem } from '../support/system.ts'

const posts = ({ github }: System) => github.requests.filter(({ method }) => method === 'POST').length
const RUN = { repository: 'acme/shop', status: 'in_progress' } as const

const waitUntil = async (relay: System, end: number) => {
  while (relay.now() < end) {
    await relay.step()
    relay.advance(5_000)
  }
}

describe('a dispatch whose response was lost', () => {
  const open = () => startSystem({ startTimeout: 600_000, runTimeout: 86_400_000 })
  /** Dispatches a delivery and loses GitHub's response. */
  const lose = async (relay: System, runId = 'r_1') => {
    relay.github.failures.serverError({ create: false })
    const id = await relay.accept(runId)
    await relay.step()
    return id
  }
  const openLost = async (runId?: string) => {
    const relay = await open()
    return { relay, id: await lose(relay, runId) }
  }
  /** Runs the relay for longer than it waits before a retry of the dispatch. */
  const wait = async (relay: System) => {
    for (let i = 0; i < 62; i++) {
      relay.advance(2_000)
      await relay.step()
    }
  }

  test.each([
    ['is retried if the only untitled run belongs to another delivery', true],
    ['is not retried if the only untitled run could belong to another delivery', false],
  ])('%s', async (_, bound) => {
    const relay = await open()
    const before = await relay.accept('r_before')
    await relay.step()
    const old = relay.github.createRun({ ...RUN, displayTitle: 'deploy' })
    if (bound) expect(await relay.bind(before, old.id)).toBe(true)
    relay.advance(1_000)
    const id = await lose(relay)
    await wait(relay)
    expect(posts(relay)).toBe(bound ? 3 : 2)
    await waitUntil(relay, relay.now() + 700_000)
    expect(posts(relay)).toBe(bound ? 3 : 2)
    expect((await relay.delivery(id)).state).toBe(bound ? 'dispatched' : 'failed')
  })

  test.each([
    ['is not retried if externalRunId in Port identifies its workflow run', true],
    ['fails after RELAY_START_TIMEOUT if nothing identifies its run, and Port shows what to do', false],
  ])('%s, if there are many untitled runs', async (_, named) => {
    const relay = await open()
    for (let i = 0; i < 5; i++) {
      await relay.accept(`r_before_${i}`)
      await relay.step()
      relay.github.createRun({ ...RUN, displayTitle: 'deploy', createdAt: iso(relay.now() + 2_000) })
      relay.advance(5_000)
    }
    const id = await lose(relay)
    const createdAt = iso(relay.now() + 2_000)
    const run = relay.github.createRun({ ...RUN, displayTitle: 'deploy', createdAt })
    if (named) relay.port.run('r_1').externalRunId = String(run.id)
    await wait(relay)
    expect(posts(relay)).toBe(6)
    expect((await relay.delivery(id)).state).toBe(named ? 'running' : 'queued')
    await waitUntil(relay, relay.now() + 700_000)
    expect(posts(relay)).toBe(6)
    if (named) return
    expect((await relay.delivery(id)).state).toBe('failed')
    await relay.send()
    expect(relay.port.run('r_1')).toMatchObject({
      ...{ status: 'FAILURE', statusLabel: 'Not identified' },
      summary: expect.stringMatching(/can't be attributed to one delivery\. Redeliver .* Set run-name: /),
    })
  })

  test('waits while Port is unreachable if the listed run is a candidate, because Port could store the ID of that run', async () => {
    const relay = await open()
    await relay.accept('r_before')
    await relay.step()
    const id = await lose(relay)
    const run = relay.github.createRun({ ...RUN, displayTitle: 'deploy' })
    relay.port.run('r_1').externalRunId = String(run.id)
    const responses = relay.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
    await waitUntil(relay, relay.now() + 700_000)
    responses()
    await wait(relay)
    expect([posts(relay), await relay.runs(id)]).toEqual([2, [[run.id, 'port']]])
  })

  describe('if the relay lacks Actions: read', () => {
    const lacks = { status: 403, body: { message: 'Resource not accessible by personal access token' } }
    const isList = ({ path }: { path: string }) => path.includes('/actions/runs')
    const refused =
      "the relay's token or App lacks Actions: read on acme/shop (403: Resource not accessible by personal access token)"
    const openBlind = async (runId?: string) => {
      const { relay, id } = await openLost(runId)
      relay.github.fail({ match: isList, ...lacks, times: Number.POSITIVE_INFINITY })
      return { relay, id }
    }
    const reason = `The outcome of the dispatch is unknown, because ${refused}. Redeliver the delivery if no workflow run started.`
    test('fails after RELAY_START_TIMEOUT without a report; Port shows the wait once, then what to do', async () => {
      const { relay, id } = await openBlind()
      const attemptedAt = (await relay.delivery(id)).attemptedAt as number
      await waitUntil(relay, attemptedAt + 590_000)
      expect(posts(relay)).toBe(1)
      await relay.send()
      expect(relay.port.run('r_1').logs).toHaveLength(1)
      await waitUntil(relay, attemptedAt + 620_000)
      expect(posts(relay)).toBe(1)
      expect(await relay.delivery(id)).toMatchObject({ state: 'failed', attempts: 1, reason })
      await relay.send()
      const shown = { status: 'FAILURE', statusLabel: 'Unknown', summary: reason }
      expect(relay.port.run('r_1')).toMatchObject(shown)
    })

    test('finishes, and is not retried, if the Port run has finished', async () => {
      const { relay, id } = await openBlind()
      relay.port.run('r_1').status = 'SUCCESS'
      await waitUntil(relay, relay.now() + 100_000)
      expect([posts(relay), (await relay.delivery(id)).state]).toEqual([1, 'finished'])
    })

    test('waits while Port is unreachable, and is not retried', async () => {
      const { relay, id } = await openBlind()
      const unread = relay.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(1)
      expect((await relay.delivery(id)).state).toBe('queued')
      unread()
      await waitUntil(relay, relay.now() + 20_000)
      expect(posts(relay)).toBe(1)
      expect((await relay.delivery(id)).state).toBe('failed')
    })
  })
})
