import type { Json } from '../../port/types.ts'

/** A value in Terraform's language. */
export type Hcl = string | number | boolean | Hcl[] | { [key: string]: Hcl } | JsonEncode

/** `jsonencode(…)`: for attributes that hold JSON as text. */
export class JsonEncode {
  readonly value: Json
  constructor(value: Json) {
    this.value = value
  }
}

/** Writes a value, indented as `terraform fmt` does. */
export function writeHcl(value: Hcl | Json, indent = ''): string {
  if (value instanceof JsonEncode) return `jsonencode(${writeHcl(value.value, indent)})`
  if (typeof value === 'string') return quote(value)
  if (value === null || typeof value !== 'object') return String(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    if (value.every(item => typeof item !== 'object' || item === null))
      return `[${value.map(item => writeHcl(item)).join(', ')}]`
    return `[\n${value.map(item => `${inner}${writeHcl(item, inner)},\n`).join('')}${indent}]`
  }
  const entries = Object.entries(value).map(([key, each]) => [writeKey(key), each] as const)
  if (entries.length === 0) return '{}'
  return `{\n${attributes(entries, inner)}${indent}}`
}

/** Attributes that follow each other on lines of their own have their `=` below each other. */
function attributes(entries: (readonly [string, Hcl | Json])[], indent: string): string {
  const texts = entries.map(([key, value]) => [key, writeHcl(value, indent)] as const)
  const widths = texts.map(([key, text]) => (text.includes('\n') ? null : key.length))
  return texts
    .map(([key, text], index) => {
      if (widths[index] === null) return `${indent}${key} = ${text}\n`
      let [from, to] = [index, index]
      while (from > 0 && widths[from - 1] !== null) from--
      while (to + 1 < widths.length && widths[to + 1] !== null) to++
      const width = Math.max(...widths.slice(from, to + 1).map(Number))
      return `${indent}${key.padEnd(width)} = ${text}\n`
    })
    .join('')
}

const writeKey = (key: string) => (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) ? key : quote(key))

/** A string of HCL: as in JSON, and `${` and `%{` are no templates. */
function quote(text: string): string {
  const json = JSON.stringify(text).replace(/\\[bf]/g, char => (char === '\\b' ? '\\u0008' : '\\u000c'))
  return json.replace(/([$%])\{/g, '$1$1{')
}
