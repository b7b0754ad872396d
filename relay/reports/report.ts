import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import { type Message, OPEN_STATES } from '../delivery/delivery.ts'
import type { BodyReservation } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { refuseOverRate, type TokenBuckets } from '../http/rate-limit.ts'
import { bearer } from '../http/request.ts'
import type { Store } from '../store/store.ts'
import type { ApplyEvent } from '../workers/apply.ts'
import { type BoundDeps, boundDelivery, isBound, refuseFinished, refuseUnbound } from './authorize.ts'
import { readMessage, reportMessage } from './schema.ts'
import type { BoundRun } from './token.ts'

export interface TakeDeps extends BoundDeps {
  store: BoundDeps['store'] & Pick<Store, 'reportUsage'>
  apply: ApplyEvent
  /** Whether RELAY_REPORT_BLUEPRINTS or RELAY_REPORT_DELETE_BLUEPRINTS allows runs to write or delete such entities. */
  isAllowed: Record<keyof typeof LISTS, (blueprint: string) => boolean>
  /** Reports per minute and workflow run. */
  rate: TokenBuckets
}

/**
 * `POST /report`: messages for Port from a delivery's workflow run. Responds with 202 once they are persisted. Messages
 * are sent in order, however long Port is unavailable. A conclusion finishes the delivery. A message with a conclusion
 * and nothing but updates is accepted even if the run has used up its limits.
 *
 * @throws Problem 400, 401, 403, 410, 413, 429, 503
 */
export function createTake(deps: TakeDeps): (c: Context, room: BodyReservation) => Promise<Response> {
  const { store, apply, tokens, rate, log } = deps
  const inOrder = createKeyedQueue()
  return async (c, room) => {
    const { renew, ...bound } = await tokens.verify(bearer(c))
    // One report at a time per delivery, so that a run with many concurrent reports delays only itself.
    return inOrder(bound.delivery, () => take(c, room, bound, renew))
  }

  async function take(c: Context, room: BodyReservation, bound: BoundRun, renew: boolean): Promise<Response> {
    const { message, delivery } = await boundDelivery(bound, deps, () =>
      readMessage(c, reportMessage, LIMITS.reportBody.value, room),
    )
    const { sender, number, reports, finishing } = message
    const ends = reports.some(report => 'update' in report && report.update.conclusion !== undefined)
    // The first conclusion finishes the delivery, so there is only one.
    const isExempt =
      ends && OPEN_STATES.includes(delivery.state) && reports.every(report => 'update' in report)
    const waitMs = isExempt ? 0 : rate.take(`${bound.runId} ${bound.runAttempt}`)
    if (waitMs > 0) {
      const sentence = `A workflow run may report ${LIMITS.reportRate.value} times a minute: wait, and put more lines into one report.`
      throw refuseOverRate(sentence, waitMs)
    }
    const messages = reports.map(report => check(report, deps.isAllowed))
    const used = await store.reportUsage(delivery.id, sender)
    // An empty report takes up space in the database, too.
    const lines = Math.max(
      1,
      messages.reduce((sum, each) => sum + ('log' in each ? each.log.length : 1), 0),
    )
    const bytes = JSON.stringify(messages).length
    const isRepeated = number <= used.lastNumber
    if (!isRepeated && !isExempt) checkUsage(used.lines + lines, used.bytes + bytes)
    if (!isRepeated) {
      const receipt = { sender, number, lines, bytes }
      const applied = await apply(
        delivery,
        { type: 'reportReceived', messages, ends, ending: finishing },
        { receipt },
      )
      // The delivery may have been redelivered or deleted in the meantime.
      if (applied.outcome === 'gone' || !isBound(applied.delivery, bound))
        throw refuseUnbound(log, delivery.id, bound)
      if (applied.outcome !== 'applied') throw refuseFinished()
    }
    const renewed = renew ? { token: (await tokens.mint(bound)).token } : {}
    return c.json({ delivery: delivery.id, number, ...renewed }, 202)
  }
}

function checkUsage(lines: number, bytes: number): void {
  const { reportLines, reportBytes } = LIMITS
  if (lines > reportLines.value) {
    throw new Problem(
      413,
      `The reports of a delivery may hold ${reportLines.value} log lines, updates and entities: this one exceeds it.`,
    )
  }
  if (bytes > reportBytes.value) {
    throw new Problem(
      413,
      `The reports of a delivery may hold ${reportBytes.value} bytes: this one exceeds it.`,
    )
  }
}

/** The allow-list and the participle in the message, for each entity operation. */
const LISTS = {
  upsert: { list: 'RELAY_REPORT_BLUEPRINTS', done: 'written' },
  delete: { list: 'RELAY_REPORT_DELETE_BLUEPRINTS', done: 'deleted' },
}

/** Replaces entities whose blueprints aren't allowed by log lines with the reason. */
function check(report: Message, isAllowed: TakeDeps['isAllowed']): Message {
  if (!('entity' in report)) return report
  const { blueprint, properties, operation = 'upsert' } = report.entity
  if (isAllowed[operation](blueprint)) return report
  const { list, done } = LISTS[operation]
  const name = `${blueprint} ${JSON.stringify(properties.identifier ?? null)}`
  const message = `The entity ${name} was not ${done}: ${list} of the relay does not include its blueprint.`
  return { log: [{ level: 'ERROR', message }] }
}

/**
 * Runs tasks with the same key one at a time, in order. Tasks with other keys aren't delayed.
 *
 * @throws Problem 429 if too many tasks wait for the key, 503 if too many wait in total
 */
type KeyedQueue = <T>(key: string, task: () => Promise<T>) => Promise<T>

function createKeyedQueue(): KeyedQueue {
  const queues = new Map<string, { last: Promise<unknown>; waiting: number }>()
  const { reportsWaiting, reportsWaitingInAll } = LIMITS
  let all = 0
  return async (key, task) => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), waiting: 0 }
    if (queue.waiting >= reportsWaiting.value) {
      const sentence = `${reportsWaiting.value} reports of this delivery are under way already; this one was not accepted. Send fewer at once.`
      throw new Problem(429, sentence, { 'retry-after': '1', connection: 'close' })
    }
    if (all >= reportsWaitingInAll.value) {
      const sentence =
        'More reports arrive than the relay keeps up with; this one was not accepted. Send it again shortly.'
      throw new Problem(503, sentence, { 'retry-after': '1', connection: 'close' })
    }
    queues.set(key, queue)
    queue.waiting++
    all++
    const mine = queue.last.then(task)
    queue.last = mine.catch(() => {})
    try {
      return await mine
    } finally {
      all--
      if (--queue.waiting === 0) queues.delete(key)
    }
  }
}
