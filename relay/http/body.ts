import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import type { BodyReservation } from './body-memory.ts'
import { Problem } from './problem.ts'
import type { Head } from './request.ts'

/** Number of pieces whose size isn't checked, so that a slow sender can start with small pieces. */
const FIRST_PIECES = 200

/**
 * @param maxBytes a larger body is refused before reading if its length is declared, otherwise when it exceeds the limit
 * @param rule who sets the limit, for the message
 * @param declared result of `checkLength`, if the caller has already called it
 * @throws Problem 413; 400 if the sender disconnected; 503 or 408 if the body was dropped
 */
export async function readBody(
  c: Head,
  stream: Readable & { complete?: boolean },
  maxBytes: number,
  reservation: BodyReservation,
  rule = RULE,
  declared = checkLength(c, maxBytes, rule),
): Promise<Uint8Array> {
  // Usually, the body arrives together with the head. Then Node has parsed it when this function continues.
  await null
  if (stream.complete && stream.readableLength === declared) {
    reservation.take(declared)
    return stream.read() ?? NOTHING
  }
  let body = NOTHING
  let [length, pieces] = [0, 0]
  try {
    await eachChunk(stream, reservation, chunk => {
      if (++pieces > FIRST_PIECES && length < pieces * LIMITS.bodyPiece) throw TOO_SMALL
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes, rule)
      if (length === 0) {
        reservation.take(needed)
        body = chunk
      } else {
        // Copy chunks into one buffer, because storing a one-byte chunk would use hundreds of bytes.
        if (needed > body.length) {
          // Grow the buffer as bytes arrive, so that a declared length alone reserves no memory.
          const size = Math.max(needed, Math.min(2 * needed, declared ?? maxBytes))
          reservation.take(size - body.length)
          const grown = Buffer.allocUnsafeSlow(size)
          grown.set(body)
          body = grown
        }
        body.set(chunk, length)
      }
      length = needed
    })
    return body.subarray(0, length)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, "The body didn't arrive completely.")
  } finally {
    // Release the bytes, because the request's listeners still reference this variable.
    body = NOTHING
  }
}

const NOTHING = new Uint8Array(0)

const TOO_SMALL = new Problem(
  400,
  `The body arrives in pieces of less than ${LIMITS.bodyPiece} bytes: send it with a Content-Length, or in larger chunks.`,
  { connection: 'close' },
)

/** Returns Node's request if possible, because web streams add overhead. */
export function bodyOf(c: Context): Readable {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  return incoming ?? Readable.fromWeb((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream)
}

/** Calls `take` for each chunk until an error. */
function eachChunk(
  stream: Readable,
  reservation: BodyReservation,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (problem: unknown) => {
      stream.off('data', onData)
      // Stop reading but leave the connection open for the response. Drain small pieces, which would otherwise pile up.
      if (problem === TOO_SMALL) stream.resume()
      else stream.pause()
      reject(problem)
    }
    const onData = (chunk: Buffer<ArrayBuffer>) => {
      try {
        take(chunk)
      } catch (error) {
        stop(error)
      }
    }
    reservation.arrive(stop)
    // Don't use Node's `finished`, which adds more listeners and takes as long as verifying the signature.
    const onClose = () => {
      if (!stream.readableEnded) reject(new Error('closed'))
    }
    if (stream.closed) onClose()
    else stream.on('end', resolve).on('error', reject).on('close', onClose).on('data', onData)
  })
}

/** @returns the declared body length; null if none is declared. @throws Problem 413 if it's too large */
export function checkLength(c: Head, maxBytes: number, rule = RULE): number | null {
  const declared = c.req.header('content-length')
  if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes, rule)
  return declared === undefined || c.req.header('transfer-encoding') !== undefined ? null : Number(declared)
}

const RULE = 'RELAY_MAX_BODY allows'
const tooLarge = (maxBytes: number, rule: string) =>
  new Problem(413, `The body is larger than ${rule} (${maxBytes} bytes).`, { connection: 'close' })

/**
 * @param advice how the sender can fix the error, as clauses that follow a colon
 * @param maxKeys maximum number of keys in all objects of the body
 * @throws Problem 400 if it isn't JSON in UTF-8, is nested too deeply, or contains a number that is too large; 422 if
 * it has too many keys
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

/** Refuses Infinity, because JSON would turn it into null. The workflow's input would differ from the signed value. */
function refuseInfinite(value: unknown, key: string): void {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    const where = key === '' ? '' : ` at ${JSON.stringify(key)}`
    const sentence = `The number${where} is larger than 1.8e308, the largest number that JSON parsers can represent: send the number as text.`
    throw new Problem(400, sentence)
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, each] of Object.entries(value)) refuseInfinite(each, name)
}

/** A number with fewer digits can't exceed 1.8e308, unless it has an exponent. */
const MANY_DIGITS = 200

/** Measures valid JSON without recursion. Skips strings without decoding them. */
function scanJson(json: Uint8Array) {
  let [level, depth, keys, digits] = [0, 0, 0, 0]
  /** Whether a number could overflow to Infinity, because it has an exponent or many digits. */
  let mayOverflow = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number
    if (byte >= 0x30 && byte <= 0x39) {
      if (++digits >= MANY_DIGITS) mayOverflow = true
      continue
    }
    if (byte === 0x2e) continue
    if (digits > 0 && (byte === 0x65 || byte === 0x45)) mayOverflow = true
    digits = 0
    if (byte === 0x22) {
      for (i++; i < json.length && json[i] !== 0x22; i++) if (json[i] === 0x5c) i++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++level > depth) depth = level
    } else if (byte === 0x7d || byte === 0x5d) level--
    else if (byte === 0x3a) keys++
  }
  return { depth, keys, mayOverflow }
}
