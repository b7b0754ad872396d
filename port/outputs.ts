import type { Json, JsonObject } from './types.ts'

/** What later nodes of a Port workflow read as `{{ .outputs["node"].NAME }}`. Bytes are those of the JSON. */
export const OUTPUTS = { name: /^[A-Za-z0-9_-]+$/, maxBytes: 64 * 1024 }

/**
 * Outputs of a run, and more of them, which replace those with the same name. An output that doesn't fit is left out, and
 * an earlier one with its name stays.
 *
 * @returns `left`: the names of those that are left out
 */
export function mergeOutputs(outputs: JsonObject, more: JsonObject): { outputs: JsonObject; left: string[] } {
  const merged = new Map(Object.entries(outputs))
  const left: string[] = []
  let bytes = Buffer.byteLength(JSON.stringify(outputs))
  for (const [name, value] of Object.entries(more)) {
    const before = merged.get(name)
    const added = sizeOf(name, value) - (before === undefined ? 0 : sizeOf(name, before))
    if (bytes + added > OUTPUTS.maxBytes) left.push(name)
    else {
      merged.set(name, value)
      bytes += added
    }
  }
  return { outputs: Object.fromEntries(merged), left }
}

/** With the comma after it. */
const sizeOf = (name: string, value: Json) => Buffer.byteLength(JSON.stringify({ [name]: value })) - 1

export const describeLeftOut = (names: string[]) =>
  `The outputs of a run may hold ${OUTPUTS.maxBytes / 1024} KB, and these are left out: ${names.join(', ')}.`
