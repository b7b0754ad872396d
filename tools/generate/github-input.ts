import { isObject, type Json } from '../../port/types.ts'
import type { Property } from './port-action.ts'

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

/** Outputs in `action.yml`. A Port action's input with one of these names gets no output of its own. */
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

export function isOwnPort(input: unknown): boolean {
  const { type = 'string', default: value = '', required } = isObject(input) ? input : {}
  return type !== 'string' || (value !== '' && value !== null) || required === true || required === 'true'
}
