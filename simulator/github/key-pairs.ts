import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'

/** The key pairs of closed servers. */
const unused: KeyPairKeyObjectResult[] = []

/** Returns an RSA key pair that no open server uses. Reuses closed servers' pairs, because a new pair takes 0.2 s. */
export const takeKeyPair = (): KeyPairKeyObjectResult =>
  unused.pop() ?? generateKeyPairSync('rsa', { modulusLength: 2048 })

export const leaveKeyPairs = (pairs: KeyPairKeyObjectResult[]): void => void unused.push(...pairs.splice(0))
