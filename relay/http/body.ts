import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import type { BodyReservation } from './body-memory.ts'
import { Problem } from './problem.ts'
import type { Head } from './request.ts'

/**
 * @param maxBytes the maximum size; a declared length is checked before the body is read
 * @param rule the start of a clause that names what sets the limit, such as `RELAY_MAX_BODY allows`
 * @throws Problem 413; 400 if the sender disconnected; 503 or 408 if the body was dropped
 */
export async function readBody(
  c: Head,
  stream: Readable,
  maxBytes: number,
  reservation: BodyReservation,
  rule = RULE,
): Promise<Uint8Array> {
  const declared = checkLength(c, maxBytes, rule)
  // Usually, the body arrives together with the head, and Node has parsed both when this function continues. A complete
  // body reserves no memory for arriving bodies: the caller verifies and accepts it before Node reads other data.
  await null
  if (stream.readableLength === declared) return stream.read() ?? NOTHING
  let body = NOTHING
  let [length, pieces] = [0, 0]
  try {
    await eachChunk(stream, reservation, (chunk, take) => {
      if (++pieces > LIMITS.firstPieces && length < pieces * LIMITS.bodyPiece) throw TOO_SMALL
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes, rule)
      if (length === 0) {
        take(needed)
        body = chunk
      } else {
        // Chunks are copied into one buffer, because each stored chunk would use hundreds of additional bytes.
        if (needed > body.length) {
          // The buffer grows only when bytes arrive. A declared length alone reserves no memory.
          const size = Math.max(needed, Math.min(2 * needed, declared ?? maxBytes))
          take(size - body.length)
          const grown = Buffer.allocUnsafeSlow(size)
          grown.set(body)
          body = grown
        }
        body.set(chunk, length)
      }
      length = needed
    })
    // A copy frees the unused part of the buffer, which `accept` doesn't count.
    return length === body.length ? body : new Uint8Array(body.subarray(0, length))
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, "The body didn't arrive completely.")
  } finally {
    // Frees the bytes: the request's listeners still reference this variable.
    body = NOTHING
  }
}

const NOTHING = new Uint8Array(0)

const TOO_SMALL = new Problem(
  400,
  `The body arrives in pieces of less than ${LIMITS.bodyPiece} bytes: send it with a Content-Length, or in larger chunks.`,
  { connection: 'close' },
)

/** Returns the body as a stream: Node's request if possible, because a web stream is slower. */
export function bodyOf(c: Context): Readable {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  return incoming ?? Readable.fromWeb((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream)
}

function eachChunk(
  stream: Readable,
  reservation: BodyReservation,
  add: (chunk: Uint8Array<ArrayBuffer>, take: (bytes: number) => void) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stop = (problem: unknown) => {
    stream.off('data', onData)
    // The connection stays open for the response, but reading stops. Only a body of small pieces is read to its end, so
    // that the pieces don't accumulate.
    if (problem === TOO_SMALL) stream.resume()
    else stream.pause()
    reject(problem)
  }
  const onData = (chunk: Buffer<ArrayBuffer>) => {
    try {
      add(chunk, arriving.take)
    } catch (error) {
      stop(error)
    }
  }
  const arriving = reservation.arrive(stop)
  // Node's `finished` isn't used, because adding its many listeners would take as long as verifying the signature.
  const onClose = () => {
    if (!stream.readableEnded) reject(new Error('closed'))
  }
  if (stream.closed) onClose()
  else stream.on('end', resolve).on('error', reject).on('close', onClose).on('data', onData)
  return promise.finally(arriving.end)
}

/** Checks the declared length of a body. @returns the length; null if none is declared. @throws Problem 413 if it's too large */
export function checkLength(c: Head, maxBytes: number, rule = RULE): number | null {
  const declared = c.req.header('content-length')
  if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes, rule)
  return declared === undefined || c.req.header('transfer-encoding') !== undefined ? null : Number(declared)
}

const RULE = 'RELAY_MAX_BODY allows'
const tooLarge = (maxBytes: number, rule: string) =>
  new Problem(413, `The body is larger than ${rule} (${maxBytes} bytes).`, { connection: 'close' })

/**
 * @param advice for each error, how the sender can fix it: a clause that is written after a colon
 * @param maxKeys the maximum number of keys in all objects of the body together
 * @throws Problem 400 if the body isn't JSON in UTF-8, is nested too deeply, or contains a number that is too large;
 * 422 if the body has too many keys
 */
export function readJson(
  body: Uint8Array,
  advice: { notJson: string; tooDeep: string },
  maxKeys = Number.POSITIVE_INFINITY,
): unknown {
  const { depth, keys, mayOverflow } = scanJson(body)
  if (keys > maxKeys)
    throw new Problem(422, `The body has more than ${maxKeys} keys: send fewer, or encode a part as text.`)
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(body))
  } catch {
    throw new Problem(400, `The body isn't JSON in UTF-8: ${advice.notJson}.`)
  }
  if (depth > LIMITS.jsonDepth)
    throw new Problem(400, `The body is nested more than ${LIMITS.jsonDepth} levels deep: ${advice.tooDeep}.`)
  if (mayOverflow) refuseInfinite(value, '')
  return value
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Refuses a number that becomes Infinity, because JSON would then contain null instead of the signed value. */
function refuseInfinite(value: unknown, key: string | number): void {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    const where = key === '' ? '' : ` at ${JSON.stringify(String(key))}`
    const sentence = `The number${where} is larger than 1.8e308, the largest number that JSON parsers can represent: send the number as text.`
    throw new Problem(400, sentence)
  }
  if (Array.isArray(value)) value.forEach(refuseInfinite)
  else if (typeof value === 'object' && value !== null)
    for (const [name, each] of Object.entries(value)) refuseInfinite(each, name)
}

/** The number of digits of 1.8e308, the largest number that JSON parsers can represent. */
const DIGITS = 309

/**
 * Measures the depth of valid JSON, and counts its keys. `mayOverflow`: a number has an exponent, or all numbers together
 * have at least 309 digits. Doesn't recurse or decode strings.
 */
function scanJson(json: Uint8Array) {
  let [level, depth, keys, digits, hasExponent] = [0, 0, 0, 0, false]
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number
    if (byte === 0x22) {
      for (i++; i < json.length && json[i] !== 0x22; i++) if (json[i] === 0x5c) i++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++level > depth) depth = level
    } else if (byte === 0x7d || byte === 0x5d) level--
    else if (byte === 0x3a) keys++
    else if (byte >= 0x30 && byte <= 0x39) digits++
    // The "e" of an exponent comes after a digit, and the "e" of `true` and `false` after a letter.
    else if ((byte === 0x65 || byte === 0x45) && (json[i - 1] as number) <= 0x39) hasExponent = true
  }
  return { depth, keys, mayOverflow: hasExponent || digits >= DIGITS }
}
