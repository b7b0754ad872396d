import { constants, createDecipheriv, createPrivateKey, privateDecrypt } from 'node:crypto'

/** How to decrypt a secret input: with the client secret (`aes256-gcm`) or the author's private key (`client-side`). */
export type SecretKey =
  | { scheme: 'aes256-gcm'; clientSecret: string }
  | { scheme: 'client-side' /** PEM */; privateKey: string }

const TAG = 16

/** Returns the plaintext of a secret input (Base64), decrypted with the first key that fits; null if no key fits. */
export function decryptSecretInput(value: string, keys: readonly SecretKey[]): string | null {
  const data = Buffer.from(value, 'base64')
  for (const key of keys) {
    try {
      return key.scheme === 'aes256-gcm'
        ? decryptSymmetric(data, key.clientSecret)
        : decryptClientSide(data, key.privateKey)
    } catch {
      // OpenSSL's error is omitted, because its message could contain key material.
    }
  }
  return null
}

/** Format: IV 16 ‖ ciphertext ‖ tag 16. The key is the first 32 bytes of the client secret, without derivation. */
function decryptSymmetric(data: Buffer, clientSecret: string): string {
  return decrypt(Buffer.from(clientSecret, 'utf8').subarray(0, 32), data.subarray(0, 16), data.subarray(16))
}

/** Format: IV 12 ‖ AES key wrapped with RSA-OAEP-SHA256 (as long as the modulus) ‖ ciphertext ‖ tag 16. */
function decryptClientSide(data: Buffer, pem: string): string {
  const privateKey = createPrivateKey(pem)
  const end = 12 + privateKey.asymmetricKeyDetails!.modulusLength! / 8
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const key = privateDecrypt({ key: privateKey, padding, oaepHash: 'sha256' }, data.subarray(12, end))
  return decrypt(key, data.subarray(0, 12), data.subarray(end))
}

function decrypt(key: Buffer, iv: Buffer, encrypted: Buffer): string {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG })
  decipher.setAuthTag(encrypted.subarray(-TAG))
  return Buffer.concat([decipher.update(encrypted.subarray(0, -TAG)), decipher.final()]).toString('utf8')
}
