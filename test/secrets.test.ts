import { expect, test } from 'vitest'
import { decryptSecretInput, type SecretKey } from '../port/secrets.ts'
import vectors from './fixtures/port/encryption-vectors.json' with { type: 'json' }

const { clientSecret } = vectors['aes256-gcm']
const { privateKeyPem, publicKeyPem } = vectors['client-side']
const keys: Record<SecretKey['scheme'], SecretKey> = {
  'aes256-gcm': { scheme: 'aes256-gcm', clientSecret },
  'client-side': { scheme: 'client-side', privateKey: privateKeyPem },
}

test.each(['aes256-gcm', 'client-side'] as const)('decrypts each test vector of the scheme %s', scheme => {
  for (const { encrypted, plaintext } of vectors[scheme].cases)
    expect(decryptSecretInput(encrypted, [keys[scheme]])).toBe(plaintext)
})

const symmetric = vectors['aes256-gcm'].cases[0]!
const clientSide = vectors['client-side'].cases[0]!
const flip = (base64: string) => {
  const bytes = Buffer.from(base64, 'base64')
  bytes[bytes.length - 1]! ^= 1
  return bytes.toString('base64')
}
const otherSecret = 'another-secret-of-at-least-thirty-two-bytes'
test.each<[string, string, SecretKey]>([
  ['another client secret', symmetric.encrypted, { scheme: 'aes256-gcm', clientSecret: otherSecret }],
  ['a short client secret', symmetric.encrypted, { scheme: 'aes256-gcm', clientSecret: 'short' }],
  ['a flipped bit', flip(symmetric.encrypted), keys['aes256-gcm']],
  ['an empty value', '', keys['aes256-gcm']],
  ['unencrypted text', 'not encrypted at all', keys['aes256-gcm']],
  ['a flipped bit, client-side', flip(clientSide.encrypted), keys['client-side']],
  ['the other scheme', symmetric.encrypted, keys['client-side']],
  ['a key that is not PEM', clientSide.encrypted, { scheme: 'client-side', privateKey: 'no pem' }],
  ['a public key', clientSide.encrypted, { scheme: 'client-side', privateKey: publicKeyPem }],
])('decryption returns null for %s', (_, value, key) => {
  expect(decryptSecretInput(value, [key])).toBeNull()
})
