import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'

/** Key pairs of servers that have closed. */
const unused: KeyPairKeyObjectResult[] = []

/** An RSA key pair that no other open server has. Generating one takes 0.2 s of CPU time, so closed servers leave theirs. */
export const takeKeyPair = (): KeyPairKeyObjectResult =>
  unused.pop() ?? generateKeyPairSync('rsa', { modulusLength: 2048 })

export const leaveKeyPairs = (pairs: KeyPairKeyObjectResult[]): void => void unused.push(...pairs.splice(0))
