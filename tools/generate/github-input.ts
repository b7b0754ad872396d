import { isObject, type Json } from '../../port/types.ts'
import type { Property } from './port-action.ts'

/** An input of `workflow_dispatch`. */
export interface GitHubInput {
  description?: string
  type: 'string' | 'boolean' | 'number' | 'choice'
  required?: true
  default?: string | number | boolean
  options?: string[]
}

/** Converts a Port input to a GitHub input. Omits keywords that GitHub can't express. */
export function toGitHubInput(property: Property, required: boolean): GitHubInput {
  const { description } = property
  const options = choices(property)
  const type = options
    ? 'choice'
    : property.type === 'boolean' || property.type === 'number'
      ? property.type
      : 'string'
  const value = defaultOf(property, options)
  return {
    ...(isPlain(description) && description.trim() !== '' && { description }),
    type,
    ...(required && { required: true }),
    ...(value !== undefined && { default: value }),
    ...(options && { options }),
  }
}

function choices({ type, enum: values }: Property): string[] | null {
  if (type !== 'string' || !Array.isArray(values) || values.length === 0) return null
  return values.every(isPlain) && values.every(value => value.trim() !== '') ? values : null
}

function defaultOf({ type, default: value }: Property, options: string[] | null): GitHubInput['default'] {
  if (value === undefined || (isObject(value) && 'jqQuery' in value)) return undefined
  if (options) return isPlain(value) && options.includes(value) ? value : undefined
  if (type === 'boolean' || type === 'number')
    return typeof value === type ? (value as number | boolean) : undefined
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return isPlain(text) ? text : undefined
}

/** Whether the value is text without an expression, which GitHub reads literally. */
function isPlain(value: Json | undefined): value is string {
  return typeof value === 'string' && !value.includes('${{')
}

/** Converts a workflow file's input to a Port input. */
export function fromGitHubInput(name: string, input: unknown): { property: Property; required: boolean } {
  const { description, type: given, default: value, options, required } = isObject(input) ? input : {}
  const type = given === 'boolean' || given === 'number' ? given : 'string'
  const property: Property = { type, title: titleOf(name) }
  if (typeof description === 'string' && description.trim() !== '') property.description = description
  if (given === 'choice' && Array.isArray(options)) property.enum = [...new Set(options.map(String))]
  const read = readDefault(type, value)
  if (read !== undefined) property.default = read
  return { property, required: required === true || required === 'true' }
}

function readDefault(type: string, value: Json | undefined): Json | undefined {
  if (value === undefined || value === null || typeof value === 'object') return undefined
  if (type === 'boolean') return String(value) === 'true'
  if (type === 'number')
    return String(value).trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : undefined
  return String(value)
}

/** Converts `log_level` and `logLevel` to "Log level". */
export function titleOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').split(/[^A-Za-z0-9]+/)
  const text = words.filter(Boolean).join(' ').toLowerCase()
  return text === '' ? name : text[0]!.toUpperCase() + text.slice(1)
}

/** Inputs besides `port` that the relay sends. Port's form doesn't include these inputs. */
export const OFFERED = ['port_context', 'port_payload', 'port_run_id', 'run_id']

/** The action's own outputs, as listed in `action.yml`. A Port action's input with one of these names gets no output of its own. */
export const FIXED_OUTPUTS = [
  'inputs',
  'entity',
  'event',
  'trigger',
  'payload',
  'run-id',
  'action',
  'operation',
  'blueprint',
  'entity-id',
  'triggered-by',
  'delivery',
]

/** Whether the author defined an input named `port`. The relay's input `port` is an optional string. */
export function isOwnPort(input: unknown): boolean {
  const { type = 'string', default: value = '', required } = isObject(input) ? input : {}
  return type !== 'string' || (value !== '' && value !== null) || required === true || required === 'true'
}

/** Whether GitHub accepts the input name. */
export const canBeGitHubInput = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_-]*$/.test(name)
