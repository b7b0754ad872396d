import type { Context } from 'hono'
import { z } from 'zod'
import { OUTPUTS } from '../../port/client/run-bodies.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { LIMITS } from '../config/limits.ts'
import type { Delivery, Message } from '../delivery/delivery.ts'
import { idOf } from '../delivery/reported.ts'
import { bodyOf, readBody, readJson } from '../http/body.ts'
import type { BodyReservation } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { bearer, limitRate, type TokenBuckets } from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { BoundRun, ReportTokens } from './authorize.ts'
import { boundDelivery, isBound, refuseFinished, refuseUnbound } from './authorize.ts'

interface TakeDeps extends Pick<RouteDeps, 'store' | 'apply'> {
  tokens: ReportTokens
  log: Pick<ThrottledLog, 'warn'>
  isAllowed: Record<keyof typeof LISTS, (blueprint: string) => boolean>
  rate: TokenBuckets
}

/**
 * `POST /report`: persists messages for Port from a delivery's workflow run. A report that exceeds the quota is still
 * accepted if all its messages are updates with a conclusion.
 * @throws Problem 400, 401, 403, 410, 413, 422, 429, 503
 */
export function createTake(deps: TakeDeps): (c: Context, room: BodyReservation) => Promise<Response> {
  const { store, apply, tokens, rate, log } = deps
  const inOrder = createKeyedQueue()
  return async (c, room) => {
    const { renew, ...bound } = await tokens.verify(bearer(c))
    const body = await readBytes(c, LIMITS.reportBody, room, {
      [`delivery ${bound.delivery}`]: LIMITS.reportsWaiting,
      [`repository ${bound.repository}`]: LIMITS.reportsWaitingOfRepository,
    })
    // The reports of a delivery are processed one at a time, so that concurrent reports don't delay other deliveries.
    return inOrder(bound.delivery, () => take(c, body, bound, renew))
  }

  async function take(c: Context, body: Uint8Array, bound: BoundRun, renew: boolean): Promise<Response> {
    const sentence = `A workflow run can report at most ${LIMITS.reportRate} times per minute. Retry after the time in the Retry-After header, and put more lines into each report.`
    limitRate(rate, `${bound.runId} ${bound.runAttempt}`, sentence)
    const message = parseMessage(body, reportMessage)
    const delivery = await boundDelivery(message, bound, deps)
    const { sender, number, reports, finishing } = message
    const concludes = (report: Message) => 'update' in report && report.update.conclusion !== undefined
    const isExempt = reports.length > 0 && reports.every(concludes)
    checkJobs(delivery, reports, bound.runAttempt)
    const messages: Message[] = reports
    for (const message of messages) checkBlueprint(message, deps.isAllowed)
    const used = await store.reportUsage(delivery.id, sender)
    // A report without lines counts as one line, because it also uses space in the database.
    const lines = messages.reduce((sum, each) => sum + ('log' in each ? each.log.length : 1), 0) || 1
    const bytes = Buffer.byteLength(JSON.stringify(messages))
    const isRepeated = number <= used.lastNumber
    if (!isRepeated && !isExempt) checkUsage(used.lines + lines, used.bytes + bytes)
    if (!isRepeated) {
      const receipt = { sender, number, lines, bytes }
      const event = {
        type: 'reportReceived' as const,
        messages,
        attempt: bound.runAttempt,
        ending: finishing,
      }
      const applied = await apply(delivery, event, { receipt })
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
  const isMany = lines > reportLines
  if (!isMany && bytes <= reportBytes) return
  const most = isMany ? `${reportLines} log lines, updates, and entities` : `${reportBytes} bytes`
  const sentence = `The reports of a delivery can contain at most ${most}: this report exceeds that limit.`
  throw new Problem(413, sentence)
}

function checkJobs({ reported }: Delivery, reports: Message[], attempt: number): void {
  const jobs = new Set(reported?.attempt === attempt ? reported.jobs.map(({ job }) => job) : [])
  for (const each of reports) if ('update' in each && each.update.job) jobs.add(idOf(each.update.job))
  if (jobs.size <= LIMITS.reportJobs) return
  throw new Problem(413, `At most ${LIMITS.reportJobs} jobs of a workflow run can report their results.`)
}

const LISTS = {
  upsert: { list: 'RELAY_REPORT_BLUEPRINTS', done: 'written' },
  delete: { list: 'RELAY_REPORT_DELETE_BLUEPRINTS', done: 'deleted' },
}

function checkBlueprint(message: Message, isAllowed: TakeDeps['isAllowed']): void {
  if (!('entity' in message)) return
  const { blueprint, operation = 'upsert' } = message.entity
  if (isAllowed[operation](blueprint)) return
  const { list, done } = LISTS[operation]
  const sentence = `The relay's ${list} doesn't include the blueprint ${blueprint}, so the entity isn't ${done}.`
  throw new Problem(422, sentence)
}

/** Creates a queue that runs tasks with the same key one after another, in order. */
function createKeyedQueue() {
  const last = new Map<string, Promise<unknown>>()
  return <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const mine = (last.get(key) ?? Promise.resolve()).then(task)
    const settled = mine
      .catch(() => {})
      .then(() => {
        if (last.get(key) === settled) last.delete(key)
      })
    last.set(key, settled)
    return mine
  }
}

const delivery = z.string().regex(/^[\w-]{1,100}$/)

/**
 * A start request. `complete`: whether the action requests the items that the payload omits. `finishes`: whether the
 * final status reaches Port through the relay, from this job or from the relay itself.
 */
export const startMessage = z.object({
  delivery,
  complete: z.boolean().default(false),
  finishes: z.boolean().default(false),
})

const logLine = z.object({ level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']), message: z.string() })
/** Whether all lines are valid. Stops at the first invalid line, because collecting 100,000 errors takes half a second. */
const isLog = (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every(line => logLine.safeParse(line).success)
const isOutputs = (value: unknown) =>
  isObject(value) &&
  Object.keys(value).every(name => OUTPUTS.name.test(name)) &&
  Buffer.byteLength(JSON.stringify(value)) <= LIMITS.outputs
const conclusion = z.enum(['success', 'failure', 'cancelled'])
const runUpdate = z.object({
  statusLabel: z.string().max(LIMITS.reportText).optional(),
  link: z
    .array(z.url({ protocol: /^https?$/ }).max(LIMITS.reportLink))
    .max(LIMITS.reportLinks)
    .optional(),
  summary: z.string().optional(),
  externalRunId: z.string().max(LIMITS.reportName).optional(),
  conclusion: conclusion.optional(),
  job: z
    .object({
      id: z.int().nullable(),
      name: z.string().max(LIMITS.reportName),
      author: conclusion,
      ownSummary: z.boolean(),
    })
    .optional(),
  output: z
    .custom<JsonObject>(
      isOutputs,
      `must be an object of at most ${LIMITS.outputs / 1024} KB whose names consist of letters, digits, _, and -`,
    )
    .optional(),
})
/** Port's pattern for blueprints. Without this check, the allow-list and Port could interpret names with other characters differently. */
const blueprint = z
  .string()
  .max(LIMITS.reportName)
  .regex(
    /^[A-Za-z0-9@_=-]+$/,
    'must be the identifier of a blueprint in Port, which consists of letters, digits, and @, _, =, or -',
  )
/** An entity's identifier in a URL path. The identifier `..` would change the path, and an empty identifier would address all entities. */
const identifier = z
  .string()
  .min(1)
  .max(LIMITS.reportText)
  .refine(text => text.isWellFormed() && text !== '.' && text !== '..')
const required = z.literal(true).optional()
const entity = z.union([
  z.object({
    ...{ blueprint, required },
    properties: z.custom<JsonObject>(isObject),
    operation: z.literal('upsert').default('upsert'),
  }),
  z.object({ blueprint, required, properties: z.object({ identifier }), operation: z.literal('delete') }),
])
const report = z.union([
  z.strictObject({ log: z.custom(isLog).pipe(z.array(logLine)) }),
  z.strictObject({ update: runUpdate }),
  z.strictObject({ entity }),
])

/** The schema of a report. A sender numbers its reports from 1, and waits for each response. A repeated report has the same sender and number. */
export const reportMessage = z.object({
  delivery,
  sender: z.string().regex(/^[\w-]{1,64}$/),
  number: z.int().min(1),
  reports: z.array(report).max(LIMITS.reportMessages),
  finishing: z.boolean().default(false),
})

/** Parses a report or a start request. @throws Problem 400, whose message doesn't quote the invalid values */
export function parseMessage<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  const body = readJson(bytes, {
    notJson: 'send a report of the action',
    tooDeep: 'remove the deeper levels of the entity',
  })
  const read = schema.safeParse(body)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const rule = issue?.message.startsWith('must ') ? issue.message : 'is missing or has the wrong type'
  throw new Problem(400, `The body isn't a report: ${issue?.path.join('.') || 'it'} ${rule}.`)
}

export async function readBytes(
  c: Context,
  maxBytes: number,
  room: BodyReservation,
  shares?: Record<string, number>,
): Promise<Uint8Array> {
  const bytes = await readBody(c, bodyOf(c), maxBytes, room, 'a report can be')
  room.accept(bytes.length, shares)
  return bytes
}
