import { isObject, type Json } from '../../port/types.ts'

const LONGEST = 100

/**
 * `deploy (linux, 22)`: the name of a job as GitHub's pages show it, but for one that its author has named, or a value that
 * `include` has added to a leg.
 *
 * @see https://github.com/actions/runner/blob/main/src/Sdk/WorkflowParser/Conversion/JobNameBuilder.cs
 */
export function jobName(id: string, matrix: Json): string {
  const values = leavesOf(matrix)
  const name = values.length > 0 ? `${id} (${values.join(', ')})` : id
  return name.length > LONGEST ? `${name.slice(0, LONGEST - 3)}...` : name
}

function leavesOf(value: Json): string[] {
  if (value === null || value === '') return []
  if (Array.isArray(value)) return value.flatMap(leavesOf)
  return isObject(value) ? Object.values(value).flatMap(leavesOf) : [String(value)]
}
