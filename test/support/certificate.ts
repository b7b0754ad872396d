import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'

/** Encodes an ASN.1 value (DER). @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1 */
function der(tag: number, ...parts: (Uint8Array | number[])[]): Buffer {
  const body = Buffer.concat(parts.map(part => Uint8Array.from(part)))
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Uint8Array.from([tag, ...length]), body])
}
const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
const oid = (hex: string) => der(6, Buffer.from(hex, 'hex'))

const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))

/** Returns a self-signed certificate for a DNS name or an IPv4 address, and its private key, in PEM. `days`: when it expires. */
export function createCertificate(name: string, days = 1): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const time = (at: number) =>
    der(0x17, Buffer.from(`${new Date(at).toISOString().slice(2, 19).replace(/\D/g, '')}Z`))
  const now = Date.now()
  // OpenSSL finds a trusted certificate by its subject, so each certificate has a subject of its own.
  const common = sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(randomUUID())))))
  const address = name.split('.').map(Number)
  const subject = address.some(Number.isNaN) ? der(0x82, Buffer.from(name)) : der(0x87, address)
  const names = sequence(oid('551d11'), der(4, sequence(subject)))
  const body = sequence(
    der(0xa0, der(2, [2])),
    der(2, [1]),
    ECDSA_WITH_SHA256,
    common,
    sequence(time(now + (days - 30) * DAY_MS), time(now + days * DAY_MS)),
    common,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(names)),
  )
  const signed = sequence(body, ECDSA_WITH_SHA256, der(3, [0], sign('sha256', body, privateKey)))
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${signed.toString('base64')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
