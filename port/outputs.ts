import type { Json, JsonObject } from './types.ts'

/** The size limit of the outputs that later workflow nodes read as `{{ .outputs["node"].NAME }}`, in bytes of JSON. */
export const OUTPUTS = { name: /^[A-Za-z0-9_-]+$/, maxBytes: 64 * 1024 }

/**
 * Merges outputs. New outputs replace existing outputs with the same name. An output that doesn't fit is omitted, and
 * the existing output with its name is kept.
 *
 * @returns `left`: the names of the omitted outputs
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

/** Includes the comma that follows. */
const sizeOf = (name: string, value: Json) => Buffer.byteLength(JSON.stringify({ [name]: value })) - 1

export const describeLeftOut = (names: string[]) =>
  `The outputs of a run may hold ${OUTPUTS.maxBytes / 1024} KB, and these are left out: ${names.join(', ')}.`
