import { describe, expect, test } from 'vitest'
import { createPortAsker } from '../../relay/deliveries/ask-port.ts'
import type { DispatchParts } from '../../relay/deliveries/dispatch.ts'
import { findRun } from '../../relay/deliveries/find-run.ts'
import type { WorkflowRun } from '../../relay/github/client.ts'
import type { Delivery, Sent } from '../../relay/store/delivery.ts'
import { type Dispatching, openDispatching } from '../support/dispatching.ts'

const SENT = Date.parse('2026-11-01T10:00:00Z')
const HOUR = 3_600_000

/** Looks for the run of `r_2` in a list of one run, made at `made`. */
async function look(
  title: string,
  more: { made?: number; before?: Sent; bound?: string; past?: boolean; whole?: boolean } = {},
): Promise<unknown> {
  const { made = SENT - 1_000, before, bound, past, whole = true } = more
  const delivery = {
    id: 'd-2',
    runId: 'r_2',
    repository: 'acme/shop',
    eventType: 'deploy',
    sentAt: SENT,
    githubRunId: null,
    pastRuns: past ? [7] : [],
  } as unknown as Delivery
  const run = { id: 7, title, event: 'repository_dispatch', createdAt: made } as WorkflowRun
  const clock = () => SENT + 2_000
  return findRun(delivery, {
    github: {
      listRuns: async (_, since) => ({ runs: [run].filter(each => each.createdAt >= since), whole }),
    },
    store: {
      findBound: async () => (bound ? [{ id: bound, githubRunId: 7 }] : []),
      sentBetween: async (_repository, _eventTypes, { from }) => {
        return [own, before].filter(each => each !== undefined && each.sentAt >= from) as Sent[]
      },
    },
    asker: createPortAsker(null, clock),
    clock,
    startTimeout: 600_000,
    publicUrl: null,
  })
}
const sent = (more: Partial<Sent>): Sent => ({
  id: 'd-1',
  seq: 1,
  eventType: 'deploy',
  sentAt: SENT - 1_000,
  over: false,
  githubRunId: null,
  pastRuns: [],
  ...more,
})
const own = sent({ id: 'd-2', seq: 2, sentAt: SENT })
const found = { found: true, by: 'GitHub lists it', reports: null }
const nothing = { found: false, looked: true }

describe('a run on the list', () => {
  test('that is named by the Port run is evidence, whatever else went out', async () => {
    expect(await look('deploy r_2', { before: sent({}) })).toEqual(found)
    expect(await look('deploy r_A1b2C3d4', { before: sent({}) })).toEqual(nothing)
    expect(await look('deploy r_2A1b2C3d4', { before: sent({}) })).toEqual(nothing)
  })

  test('that is named by the event type alone is evidence only where no other delivery can be behind it', async () => {
    expect(await look('deploy')).toEqual(found)
    expect(await look('deploy', { before: sent({ sentAt: SENT - HOUR }) })).toEqual(found)
    expect(await look('deploy', { before: sent({}) })).toEqual(nothing)
    expect(await look('deploy', { before: sent({ githubRunId: 6 }) })).toEqual(found)
  })

  test("that is another delivery's, or was this one's before it was redelivered, is none", async () => {
    expect(await look('deploy', { bound: 'd-1' })).toEqual(nothing)
    expect(await look('deploy r_2', { bound: 'd-1' })).toEqual(nothing)
    expect(await look('deploy r_2', { past: true })).toEqual(nothing)
    expect(await look('deploy r_2', { bound: 'd-2' })).toEqual(found)
  })

  test("that names it is seen where the relay's clock is up to a minute ahead; a plain one 5 s", async () => {
    expect(await look('deploy r_2', { made: SENT - 59_000 })).toEqual(found)
    expect(await look('deploy', { made: SENT - 6_000 })).toEqual(nothing)
    expect(await look('deploy', { made: SENT - 4_000 })).toEqual(found)
  })

  test('is not missed on a list that is too long to read', async () => {
    expect(await look('deploy r_A1b2C3d4', { whole: false })).toEqual({ found: false, looked: false })
  })
})

const posts = ({ github }: Dispatching) => github.requests.filter(({ method }) => method === 'POST').length
const iso = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
const RUN = { repository: 'acme/shop', status: 'in_progress' } as const

const waitUntil = async (relay: Dispatching, end: number) => {
  while (relay.now() < end) {
    await relay.step()
    relay.advance(5_000)
  }
}

describe('a dispatch whose answer was lost', () => {
  const open = async (parts: Partial<DispatchParts> = {}) => {
    const relay = await openDispatching({ parts })
    relay.github.addRepository('acme/shop')
    return relay
  }
  /** For longer than it would take to send again. */
  const wait = async (relay: Dispatching) => {
    for (let i = 0; i < 20; i++) {
      relay.advance(2_000)
      await relay.step()
    }
  }

  test('is not bound to one of two workflows that listen: the one that reports is', async () => {
    const relay = await open()
    relay.github.failures.serverError({ create: false })
    const id = await relay.accept('r_1')
    await relay.step()
    const deploy = relay.github.createRun({ ...RUN, displayTitle: 'deploy r_1' })
    relay.github.createRun({ ...RUN, displayTitle: 'notify r_1' })
    relay.advance(2_100)
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', githubRunId: null })
    expect(await relay.store.bindRun(id, deploy.id, 1, relay.now())).toBe('bound')
    expect(posts(relay)).toBe(1)
  })

  test('is sent again though the run of the delivery before it has the same title, however many wait', async () => {
    const relay = await open()
    await relay.accept('r_before')
    await relay.step()
    relay.github.createRun({ ...RUN, displayTitle: 'deploy' })
    relay.advance(1_000)
    const id = await relay.accept('r_1')
    for (let i = 0; i < 105; i++) await relay.accept(`r_waits_${i}`)
    relay.github.failures.serverError({ create: false })
    await relay.step()
    relay.advance(2_100)
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({ state: 'queued', githubRunId: null })
    relay.advance(30_000)
    await relay.step()
    await relay.step()
    expect(relay.github.dispatches.map(each => each.clientPayload.run_id)).toContain('r_1')
  })

  test.each([
    ['and the run before it reports nothing', false],
    ['and the run before it was cancelled, too', true],
  ])(
    'is not sent again where its run, under a plain title, was cancelled before it could report, %s',
    async (_, failed) => {
      const relay = await open()
      const before = await relay.accept('r_before')
      await relay.step()
      const old = relay.github.createRun({ ...RUN, displayTitle: 'deploy' })
      if (failed) {
        const [watched] = await relay.store.claimWatched(relay.now() + 10_000, 1, 1)
        expect(watched?.id).toBe(before)
        await relay.store.record(watched!, { state: 'failed', dueAt: null, pastRuns: [old.id] }, relay.now())
      }
      relay.github.failures.serverError({ create: false })
      const id = await relay.accept('r_1')
      await relay.step()
      relay.github.createRun({ ...RUN, displayTitle: 'deploy', status: 'completed', conclusion: 'cancelled' })
      await wait(relay)
      expect(posts(relay)).toBe(2)
      expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', githubRunId: null })
    },
  )

  test('is sent again where the one run with a plain title may be of a delivery sent minutes before', async () => {
    const relay = await open()
    await relay.accept('r_before')
    await relay.step()
    relay.advance(300_000)
    relay.github.failures.serverError({ create: false })
    await relay.accept('r_1')
    await relay.step()
    relay.github.createRun({ ...RUN, displayTitle: 'deploy', createdAt: iso(relay.now() + 1_000) })
    await wait(relay)
    expect(posts(relay)).toBe(3)
  })

  test('is not sent again where more than a page of newer runs hides its run', async () => {
    const relay = await open()
    relay.github.failures.serverError({ create: false })
    const id = await relay.accept('r_1')
    await relay.step()
    relay.github.createRun({ ...RUN, displayTitle: 'deploy r_1' })
    const createdAt = iso(relay.now() + 2_000)
    for (let i = 0; i < 101; i++) relay.github.createRun({ ...RUN, displayTitle: `other ${i}`, createdAt })
    await wait(relay)
    expect(posts(relay)).toBe(1)
    expect((await relay.delivery(id)).state).toBe('dispatched')
  })

  test("is not sent again where the relay's clock is 10 s ahead of GitHub's", async () => {
    const relay = await open()
    relay.github.failures.serverError({ create: false })
    await relay.accept('r_1')
    await relay.step()
    const createdAt = iso(relay.now() - 10_000)
    relay.github.createRun({ ...RUN, displayTitle: 'deploy r_1', createdAt })
    await wait(relay)
    expect(posts(relay)).toBe(1)
  })

  test('is sent again only after RELAY_START_TIMEOUT where a run of that time has a title that names no delivery', async () => {
    const relay = await open()
    relay.github.failures.serverError({ create: false })
    const id = await relay.accept('r_1')
    await relay.step()
    relay.github.createRun({ ...RUN, displayTitle: 'Roll out shop' })
    await waitUntil(relay, relay.now() + 590_000)
    expect(posts(relay)).toBe(1)
    await waitUntil(relay, relay.now() + 30_000)
    expect(posts(relay)).toBe(2)
    expect((await relay.delivery(id)).attempts.map(({ outcome }) => outcome)).toContain(
      'No run reported, and a run began in acme/shop whose title names no delivery; sending again',
    )
  })

  test.each([
    ['is not sent again where', 'whose end tells nothing, and its run is listed', true],
    ['is sent again only after RELAY_START_TIMEOUT where', 'tells nothing', false],
  ])('%s a stream of plain runs %s', async (_, __, created) => {
    const relay = await open()
    for (let i = 0; i < 130; i++) {
      await relay.accept(`r_before_${i}`)
      await relay.step()
      relay.github.createRun({ ...RUN, displayTitle: 'deploy', createdAt: iso(relay.now() + 2_000) })
      relay.advance(5_000)
    }
    relay.github.failures.serverError({ create: false })
    const id = await relay.accept('r_1')
    await relay.step()
    const run = relay.github.createRun({
      ...RUN,
      displayTitle: 'deploy',
      createdAt: iso(relay.now() + 2_000),
    })
    if (created) relay.port.run('r_1').externalRunId = String(run.id)
    await wait(relay)
    expect(posts(relay)).toBe(131)
    expect((await relay.delivery(id)).state).toBe(created ? 'running' : 'queued')
    await waitUntil(relay, relay.now() + 600_000)
    expect(posts(relay)).toBe(created ? 131 : 132)
  })

  describe('while Port does not answer', () => {
    test('is not sent again where the run on the list may be its: Port might have told', async () => {
      const relay = await open()
      await relay.accept('r_before')
      await relay.step()
      relay.github.failures.serverError({ create: false })
      const id = await relay.accept('r_1')
      await relay.step()
      const run = relay.github.createRun({ ...RUN, displayTitle: 'deploy' })
      relay.port.run('r_1').externalRunId = String(run.id)
      const answers = relay.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
      await wait(relay)
      expect(posts(relay)).toBe(2)
      answers()
      await wait(relay)
      expect(await relay.delivery(id)).toMatchObject({ state: 'running', githubRunId: run.id })
    })

    test('is sent again where the list shows nothing', async () => {
      const relay = await open()
      relay.github.failures.serverError({ create: false })
      await relay.accept('r_1')
      await relay.step()
      relay.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
      await wait(relay)
      expect(posts(relay)).toBe(2)
    })
  })

  describe('where the relay lacks Actions: read', () => {
    const lacks = { status: 403, body: { message: 'Resource not accessible by personal access token' } }
    const isList = ({ path }: { path: string }) => path.includes('/actions/runs')
    const refused =
      "the relay's token or App lacks Actions: read on acme/shop (403: Resource not accessible by personal access token)"
    const openBlind = async (runId = 'r_1', parts: Partial<DispatchParts> = {}) => {
      const relay = await open(parts)
      relay.github.failures.serverError({ create: false })
      const blind = relay.github.fail({ match: isList, ...lacks, times: Number.POSITIVE_INFINITY })
      const id = await relay.accept(runId)
      await relay.step()
      return { relay, blind, id }
    }
    test('is sent again once RELAY_START_TIMEOUT is over without a report, and Port is told of the permission', async () => {
      const { relay, id } = await openBlind()
      const sentAt = (await relay.delivery(id)).sentAt as number
      await waitUntil(relay, sentAt + 590_000)
      expect(posts(relay)).toBe(1)
      await relay.tell()
      expect(relay.port.run('r_1').logs.flatMap(({ message }) => message.split('\n'))).toEqual([
        expect.stringContaining('; looking whether a run appears.'),
        `Waiting to dispatch "deploy" to acme/shop: whether a run appeared cannot be seen, since ${refused}; next try at ${iso(
          sentAt + 600_000,
        )
          .replace('T', ' ')
          .replace('Z', ' UTC')}.`,
      ])
      await waitUntil(relay, sentAt + 620_000)
      expect(posts(relay)).toBe(2)
      expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched' })
      expect((await relay.delivery(id)).attempts.map(({ outcome }) => outcome)).toEqual([
        expect.stringMatching(/; looking whether a run appears$/),
        `whether a run appeared cannot be seen, since ${refused}`,
        `No run reported, and ${refused}; sending again`,
        'GitHub accepted it',
      ])
    })

    test('is not sent again where Port names the run', async () => {
      const { relay, id } = await openBlind()
      relay.port.run('r_1').externalRunId = '4242'
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(1)
      expect(await relay.delivery(id)).toMatchObject({ state: 'running', githubRunId: 4242 })
    })

    test('is not sent again where the run in Port has ended; of a synchronous one that says nothing', async () => {
      const { relay, id } = await openBlind()
      relay.port.run('r_1').status = 'SUCCESS'
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(1)
      expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', githubRunId: null })
      const other = await openBlind()
      const run = other.relay.port.run('r_1')
      run.status = 'SUCCESS'
      run.payload.synchronized = true
      await waitUntil(other.relay, other.relay.now() + 700_000)
      expect(posts(other.relay)).toBe(2)
    })

    test('nor where nobody would have told of its run: it fails, and Port is told how to go on', async () => {
      const { relay, id } = await openBlind('wfnr_1')
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(1)
      const reason = `GitHub gave no clear answer, and whether a run appeared cannot be seen, since ${refused}. Redeliver it if none did.`
      expect(await relay.delivery(id)).toMatchObject({ state: 'failed', reason })
      await relay.tell()
      expect(relay.port.nodeRun('wfnr_1').logs.at(-1)?.message).toContain(reason)
    })

    test('is sent again where the action would have told by the relay', async () => {
      const { relay } = await openBlind('wfnr_1', { publicUrl: 'https://relay.example' })
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(2)
    })

    test('is not sent again while Port does not answer, or GitHub is in trouble', async () => {
      const { relay, blind } = await openBlind()
      const unread = relay.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
      await waitUntil(relay, relay.now() + 700_000)
      unread()
      blind()
      relay.github.fail({ match: isList, status: 500, times: Number.POSITIVE_INFINITY })
      await waitUntil(relay, relay.now() + 700_000)
      expect(posts(relay)).toBe(1)
    })
  })

  test('is sent again after a redelivery, though Port and GitHub still name the run that failed', async () => {
    const relay = await open()
    const id = await relay.accept('r_1')
    await relay.step()
    const old = relay.github.createRun({ ...RUN, displayTitle: 'deploy r_1' })
    await relay.store.bindRun(id, old.id, 1, relay.now())
    relay.port.run('r_1').externalRunId = String(old.id)
    const [watched] = await relay.store.claimWatched(relay.now(), 60_000, 1)
    await relay.store.record(watched!, { state: 'failed', dueAt: null }, relay.now())
    expect(await relay.store.redeliver(id, relay.now())).toBe('queued')
    relay.github.failures.serverError({ create: false })
    await relay.step()
    await wait(relay)
    expect(posts(relay)).toBe(3)
    expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', githubRunId: null })
  })
})
