import { expect, test } from 'vitest'
import { SignatureUsed, StoreBusy } from '../../../relay/store/store.ts'
import { aDelivery, applyTo, aSigned, type Place } from '../place.ts'

export function intakeTests(place: Place): void {
  test('an accepted delivery is queued and due, and reads return it unchanged', async () => {
    const store = await place.emptied()
    const target = { eventType: null, workflow: 'deploy.yml', ref: 'main' }
    const given = aDelivery({ action: null, receivedAt: 1_790_000_000_123, ...target })
    expect(await store.accept(given)).toEqual({
      ...{ id: given.id, state: 'queued', runId: given.runId, duplicate: false },
      ...{ repository: 'acme/shop', ...target },
    })
    const { invocation, sentAs: _, signature: __, ...fields } = given
    expect(await store.get(given.id)).toEqual({
      ...fields,
      ...{ seq: 1, state: 'queued', outcome: '', reason: null, version: 0, attempts: 0, runs: [] },
      ...{ queuedAt: given.receivedAt, updatedAt: given.receivedAt, dueAt: given.receivedAt },
      ...{
        firstAttemptAt: null,
        attemptedAt: null,
        awaitingResponseSince: null,
        shownCause: '',
        shownUntil: 0,
        shownReason: '',
        shownAt: 0,
      },
      ...{ frozenBy: 0, unfrozenAt: null },
      ...{ dispatchedAt: null, cancelRequestedAt: null, cancelSentAt: null, cancelForced: false },
      ...{
        waitingFor: null,
        decisions: '',
        outputs: '',
        reported: null,
        rejected: null,
        finishingAt: null,
        runWebhook: false,
        reportWorkflowStatus: true,
        rerunAt: null,
      },
    })
    expect(await store.invocation(given.id)).toBe(invocation)
    expect(await store.history(given.id)).toEqual([])
    expect(await store.get('another')).toBeNull()
    expect(await store.invocation('another')).toBeNull()
  })

  test('no delivery starts if its signature was used at another address or for a cancellation', async () => {
    const store = await place.emptied()
    const response = { status: 202, body: 'canceled' } as const
    const inBody = aDelivery()
    const signed = aSigned('signed')
    const [first, second] = [await store.accept(inBody), await store.accept(signed)]
    await store.saveCancellation({ digest: 'canceled', expiresAt: 1 }, response)
    await store.saveCancellation({ digest: 'canceled', expiresAt: 1 }, { status: 200, body: 'again' })

    expect(await store.accept({ ...inBody, id: 'again' })).toEqual({ ...first, duplicate: true })
    // A delivery with the same signature takes precedence over one with the same run.
    const ofAnother = { ...signed, id: 'again', dedupeKey: inBody.dedupeKey, runId: inBody.runId }
    for (const each of [{ ...signed, id: 'again' }, aSigned('signed'), ofAnother])
      expect(await store.accept(each)).toEqual({ ...second, duplicate: true })
    const digest = inBody.sentAs.split(' ')[0]
    const refused = [
      { ...inBody, sentAs: `${digest} /other` },
      aSigned('signed', '/other'),
      aSigned('canceled'),
    ]
    for (const each of refused) await expect(store.accept(each)).rejects.toThrow(SignatureUsed)
    expect(await store.list({}, { limit: 10 })).toHaveLength(2)

    expect(await store.findCancellation(aSigned('canceled', '/other'))).toEqual(response)
    expect(await store.findCancellation(aSigned('another', '', { runId: inBody.runId }))).toBeNull()
    for (const each of [inBody, aSigned('signed')])
      await expect(store.findCancellation(each)).rejects.toThrow(SignatureUsed)
    // Signatures expire by the sender's clock, so they are kept ten minutes longer.
    await store.saveCancellation({ digest: 'new', expiresAt: store.clock() - 5 * 60_000 }, response)
    await store.purge(0, 10)
    expect(await store.findCancellation(aSigned('canceled'))).toBeNull()
    expect(await store.findCancellation(aSigned('new'))).toEqual(response)
  })

  test('accepts only one of many identical concurrent deliveries', async () => {
    const store = await place.emptied()
    const responses = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        i % 2 ? store.accept(aDelivery({ runId: 'r_twin' })) : store.accept(aSigned('twin')),
      ),
    )
    expect(responses.filter(({ duplicate }) => !duplicate)).toHaveLength(2)
    expect(new Set(responses.map(({ id }) => id)).size).toBe(2)
  })

  test('accepts deliveries in order of arrival, even within one commit', async () => {
    const store = await place.emptied()
    const given = Array.from({ length: 50 }, () => aDelivery())
    await Promise.all(given.map(each => store.accept(each)))
    const listed = await store.list({}, { limit: 100 })
    expect(listed.reverse().map(({ id }) => id)).toEqual(given.map(({ id }) => id))
  })

  test('a delivery that cannot be written does not affect the others in its commit', async () => {
    const store = await place.emptied()
    const bad = { ...aDelivery(), receivedAt: 'yesterday' as unknown as number }
    const given = [aDelivery(), bad, aDelivery()]
    const responses = await Promise.allSettled(given.map(each => store.accept(each)))
    expect(responses.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await store.list({}, { limit: 10 })).toHaveLength(2)
  })

  test('preserves any text, such as NUL, half a surrogate pair, and four-byte characters', async () => {
    const store = await place.emptied()
    const invocation = JSON.stringify(['\0', '\ud83d', '🚀', '\u2028', `'"\\{}`])
    const odd = aDelivery({ invocation, action: `it's "odd", {really} \\ 🚀 NULL`, eventType: 'ünï' })
    const plain = aDelivery({ action: 'NUL\0here' })
    await Promise.all([store.accept(odd), store.accept(plain)])
    expect(await store.get(odd.id)).toMatchObject({ action: odd.action, eventType: 'ünï' })
    expect(await store.invocation(odd.id)).toBe(invocation)
    expect((await store.get(plain.id))?.action).toMatch(/^NUL.here$/su)
    expect(await applyTo(store, plain.id, { change: { reason: 'GitHub said \0 and \ud83d' } })).toBe(true)
    expect((await store.get(plain.id))?.reason).toMatch(/^GitHub said . and \ufffd$/su)
  })

  test('refuses deliveries that exceed the memory limit', async () => {
    const store = await place.emptied()
    const responses = await Promise.allSettled(
      Array.from({ length: 10_001 }, () => store.accept(aDelivery({ invocation: '{}' }))),
    )
    const refused = responses.filter(response => response.status === 'rejected')
    expect(refused.map(({ reason }) => reason)).toEqual([expect.any(StoreBusy)])
    const big = { ...aDelivery(), invocation: 'x'.repeat(129 * 1024 * 1024) }
    await expect(store.accept(big)).rejects.toThrow(StoreBusy)
  })
}
