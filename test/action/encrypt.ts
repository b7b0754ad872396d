import { constants, createCipheriv, publicEncrypt, randomBytes } from 'node:crypto'

/** Encrypts like Port with `aes256-gcm`: IV 16 ‖ ciphertext ‖ tag 16, in base64. */
export function encryptWith(clientSecret: string, text: string): string {
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(clientSecret).subarray(0, 32), iv)
  return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  )
}

/** Encrypts like Port's client with `client-side`: IV 12 ‖ wrapped key ‖ ciphertext ‖ tag 16, in base64. */
export function encryptFor(publicPem: string, text: string): string {
  const [key, iv] = [randomBytes(32), randomBytes(12)]
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const sealed = [cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]
  return Buffer.concat([iv, publicEncrypt({ key: publicPem, ...padding }, key), ...sealed]).toString('base64')
}
