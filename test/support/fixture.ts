import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../fixtures/port')

/** A webhook as Port or its agent sends it. The file contains headers, an empty line, and the body's bytes. */
export interface Fixture {
  headers: Record<string, string>
  body: Uint8Array
}

/** Reads `test/fixtures/port/<name>.http`. */
export function readFixture(name: string): Fixture {
  const bytes = readFileSync(join(folder, `${name}.http`))
  const end = bytes.indexOf('\n\n')
  const lines = bytes.subarray(0, end).toString('latin1').split('\n')
  return {
    headers: Object.fromEntries(lines.map(line => line.split(/: (.*)/s).slice(0, 2))),
    body: bytes.subarray(end + 2),
  }
}

/** The names of all webhook fixtures. */
export const fixtureNames = readdirSync(folder)
  .filter(name => name.endsWith('.http'))
  .map(name => name.slice(0, -'.http'.length))
  .sort()

export interface SignatureVector {
  name: string
  secret: string
  timestamp: string
  raw_body: string
  signature: string
}

export const signatureVectors: SignatureVector[] = JSON.parse(
  readFileSync(join(folder, 'signature-vectors.json'), 'utf8'),
).vectors
