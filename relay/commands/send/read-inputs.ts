import { parseJson } from '../../../port/parse-json.ts'
import type { Json, JsonObject } from '../../../port/types.ts'
import { UsageError } from '../command.ts'

/**
 * The inputs of `--input NAME=TEXT` and `--input NAME:=JSON`.
 *
 * @throws UsageError for what is neither
 */
export function readInputs(given: string[]): JsonObject {
  return Object.fromEntries(given.map(readInput))
}

function readInput(text: string): [string, Json] {
  const [, name, typed, value] = /^([^=]+?)(:?)=(.*)$/s.exec(text) ?? []
  if (!name || value === undefined)
    throw new UsageError(`--input ${JSON.stringify(text)} must be NAME=TEXT or NAME:=JSON.`)
  if (!typed) return [name, value]
  const json = parseJson(value)
  if (json !== undefined) return [name, json]
  throw new UsageError(
    `--input ${name}:=… must be JSON, such as 2, true or '["a"]'; for text write ${name}=TEXT.`,
  )
}
