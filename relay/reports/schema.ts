import type { Context } from 'hono'
import { z } from 'zod'
import { OUTPUTS } from '../../port/outputs.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { LIMITS } from '../config/limits.ts'
import { readBody } from '../http/body.ts'
import type { BodyReservation } from '../http/body-memory.ts'
import { readJson } from '../http/json.ts'
import { Problem } from '../http/problem.ts'

const delivery = z.string().regex(/^[\w-]{1,100}$/)

/**
 * `POST /report/start`: identifies the delivery. `complete`: the payload was truncated, and the rest is requested.
 * `finishes`: the job reports its result through the relay, or leaves that to the relay.
 */
export const startMessage = z.object({
  delivery,
  complete: z.boolean().default(false),
  finishes: z.boolean().default(false),
})

const logLine = z.object({
  level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']),
  message: z.string(),
})
/** Stops at the first invalid line, because collecting a hundred thousand issues would take half a second. */
const isLog = (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every(line => logLine.safeParse(line).success)
const isOutputs = (value: unknown) =>
  isObject(value) &&
  Object.keys(value).every(name => OUTPUTS.name.test(name)) &&
  Buffer.byteLength(JSON.stringify(value)) <= LIMITS.outputs.value
const runUpdate = z.object({
  statusLabel: z.string().max(1_000).optional(),
  link: z
    .array(z.url({ protocol: /^https?$/ }))
    .max(10)
    .optional(),
  summary: z.string().optional(),
  externalRunId: z.string().max(200).optional(),
  conclusion: z.enum(['success', 'failure', 'cancelled']).optional(),
  output: z
    .custom<JsonObject>(
      isOutputs,
      `must be an object whose names consist of letters, digits, _ and -, of ${LIMITS.outputs.value / 1024} KB at most`,
    )
    .optional(),
})
/** Port's pattern for blueprint identifiers. Port and the allow-list could read other characters differently. */
const blueprint = z
  .string()
  .max(200)
  .regex(
    /^[A-Za-z0-9@_=-]+$/,
    'must be the identifier of a blueprint in Port, which consists of letters, digits, and @, _, =, or -',
  )
/** A URL path segment. Only dots would change the path, and an empty segment would address the collection. */
const identifier = z
  .string()
  .min(1)
  .max(1_000)
  .refine(text => text.isWellFormed() && text !== '.' && text !== '..')
const entity = z.union([
  z.object({
    blueprint,
    // Not validated further: it comes from JSON with limited depth, and is sent to Port as JSON.
    properties: z.custom<JsonObject>(isObject),
    operation: z.literal('upsert').default('upsert'),
  }),
  z.object({
    blueprint,
    properties: z.object({ identifier }),
    operation: z.literal('delete'),
  }),
])
const report = z.union([
  z.strictObject({ log: z.custom(isLog).pipe(z.array(logLine)) }),
  z.strictObject({ update: runUpdate }),
  z.strictObject({ entity }),
])

/**
 * `POST /report`: messages for Port, in order. A repeated message has the same sender and number, and is persisted
 * once. A sender counts from 1 and waits for each response before sending the next message.
 */
export const reportMessage = z.object({
  delivery,
  sender: z.string().regex(/^[\w-]{1,64}$/),
  number: z.int().min(1),
  reports: z.array(report).max(LIMITS.reportMessages.value),
  /** Whether the job is finishing. */
  finishing: z.boolean().default(false),
})

/**
 * @throws Problem 400 that describes the problem without values; the errors of `readBody`
 */
export async function readMessage<T>(
  c: Context,
  schema: z.ZodType<T>,
  maxBytes: number,
  room: BodyReservation,
): Promise<T> {
  const body = readJson(await readBytes(c, maxBytes, room), {
    notJson: 'send a report of the action',
    tooDeep: 'leave out of the entity what is deeper',
  })
  const read = schema.safeParse(body)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const rule = issue?.message.startsWith('must ') ? issue.message : 'is missing or has the wrong type'
  throw new Problem(400, `The body is not a report: ${issue?.path.join('.') || 'it'} ${rule}.`)
}

async function readBytes(c: Context, maxBytes: number, room: BodyReservation): Promise<Uint8Array> {
  try {
    const bytes = await readBody(c, maxBytes, room)
    // The token was verified before the body was read.
    room.accept()
    return bytes
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 413) throw error
    throw new Problem(413, `A report has at most ${maxBytes} bytes: send it in parts.`, error.headers)
  }
}
