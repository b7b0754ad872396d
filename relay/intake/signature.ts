import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * Verifies Port's signature, `v1,` + base64(HMAC-SHA256(secret, timestamp + "." + body)) over the bytes of the request.
 * Port's agent signs compact JSON, but sends JSON with spaces. Therefore, the function also verifies the body without
 * the white space outside strings. Signatures are compared as text, because Base64 can encode the same bytes in several
 * ways.
 * @param header `x-port-signature`, which can contain several signatures, including signatures of unknown versions
 * @returns the signature in Port's format; null if no secret verifies it
 * @see https://docs.port.io/actions-and-automations/setup-backend/webhook/signature-verification
 */
export function verifySignature(
  secrets: readonly string[],
  header: string,
  timestamp: string,
  body: Uint8Array,
): string | null {
  const given = [...header.matchAll(/(?:^|, ?| )v1,([^, ]+)/g)].map(match => Buffer.from(match[1] as string))
  if (given.length === 0) return null
  const matching = (message: Uint8Array) => {
    for (const secret of secrets) {
      const signature = createHmac('sha256', secret).update(`${timestamp}.`).update(message).digest('base64')
      const bytes = Buffer.from(signature)
      if (given.some(each => each.length === bytes.length && timingSafeEqual(each, bytes))) return signature
    }
    return null
  }
  const direct = matching(body)
  if (direct) return direct
  const compact = withoutWhitespace(body)
  return compact.length < body.length ? matching(compact) : null
}

/** Removes white space outside strings from JSON text, without decoding UTF-8. */
export function withoutWhitespace(json: Uint8Array): Uint8Array {
  const compact = Buffer.allocUnsafe(json.length)
  let length = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number
    if (inString) {
      if (byte === 0x5c && i + 1 < json.length) compact[length++] = json[i++] as number
      else if (byte === 0x22) inString = false
    } else if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) {
      continue
    } else if (byte === 0x22) {
      inString = true
    }
    compact[length++] = json[i] as number
  }
  return compact.subarray(0, length)
}
