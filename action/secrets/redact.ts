import { isObject, type Json } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

export type Redact = (text: string) => string

/** Redacts secrets and their parts, in every encoding. Overlapping matches become one `***`. */
export function createRedact(secrets: readonly string[]): Redact {
  const texts = secrets.flatMap(secret => [secret, secret.trim(), ...maskParts(secret)])
  const parts = [...new Set(texts)].filter(text => text.trim() !== '')
  let find: ReturnType<typeof createFinder> | null = null
  return text => {
    find ??= createFinder([...new Set(parts.flatMap(secretForms))])
    const kept: string[] = []
    let end = 0
    for (const found of find(text)) {
      kept.push(text.slice(end, found.start))
      end = found.end
    }
    return kept.length === 0 ? text : [...kept, text.slice(end)].join('***')
  }
}

/** Redacts every key, text, number, and boolean that contains a secret. */
export function redactJson(value: Json, redact: Redact): Json {
  if (Array.isArray(value)) return value.map(each => redactJson(each, redact))
  if (isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [redact(name), redactJson(each, redact)]),
    )
  const text = String(value)
  const hidden = redact(text)
  return hidden === text ? value : hidden
}

type Range = { start: number; end: number }

/** The search groups patterns by their next STEP characters. It tries all patterns of a group with less than SMALL patterns. */
const [STEP, DEEPEST, SMALL] = [4, 32, 8]

type Search = (text: string, start: number) => number

/** @returns a function that returns the length of the longest pattern at a position in a text, or 0 */
function createSearch(patterns: readonly string[], depth = 0): Search {
  if (depth === DEEPEST || (depth > 0 && patterns.length < SMALL)) {
    const longestFirst = patterns.toSorted((a, b) => b.length - a.length)
    return (text, start) => longestFirst.find(pattern => text.startsWith(pattern, start))?.length ?? 0
  }
  const next = depth + STEP
  const [long = [], short = []] = [true, false].map(isLong =>
    patterns.filter(({ length }) => length >= next === isLong),
  )
  const groups = new Map<string, Search>()
  for (const [step, group] of Map.groupBy(long, pattern => pattern.slice(depth, next)))
    groups.set(step, createSearch(group, next))
  const ofShort = createSearch(short, DEEPEST)
  return (text, start) =>
    groups.get(text.slice(start + depth, start + next))?.(text, start) || ofShort(text, start)
}

/**
 * Finds all matches of many patterns. A regular expression would fail for a secret of 30 KB.
 * @returns the ranges that patterns cover, in order; overlapping ranges are merged
 */
function createFinder(patterns: readonly string[]): (text: string) => Range[] {
  const longestAt = createSearch(patterns)
  return text => {
    const found: Range[] = []
    for (let start = 0; start < text.length; start++) {
      const end = start + longestAt(text, start)
      const last = found.at(-1)
      if (last && last.end > start) last.end = Math.max(last.end, end)
      else if (end > start) found.push({ start, end })
    }
    return found
  }
}

/** The minimum length of a masked part. Masking `{` or `1` would mask most of the log. This minimum doesn't apply to whole secrets. */
const SHORTEST_PART = 4

/**
 * Returns everything to mask for one secret: its lines, and the strings and numbers of JSON. A multiline text as a
 * whole is returned only as Base64, because the runner would mask each line of the text, even a single bracket.
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs (AddMaskCommandExtension)
 */
export function maskParts(secret: string): string[] {
  const whole = linesOf(secret)
  const inside = valuesIn(secret)
  const encoded = [secret, ...inside].filter(text => linesOf(text).length > 1).flatMap(encode)
  const long = [...whole, ...inside.flatMap(linesOf)].filter(isLong)
  // If all lines are short, the lines with a letter or digit are masked.
  const short = whole.length === 1 ? whole : long.length > 0 ? [] : whole.filter(hasWord)
  return [...new Set([...short, ...long, ...encoded])]
}

function encode(text: string): string[] {
  const forms = base64Forms(text.trim())
  return forms.filter(form => !forms.some(other => other !== form && form.startsWith(other)))
}

const hasWord = (part: string) => /[\p{L}\p{N}]/u.test(part)
const isLong = (part: string) => part.length >= SHORTEST_PART
const linesOf = (text: string) =>
  text
    .split(/[\r\n]+/)
    .map(line => line.trim())
    .filter(line => line !== '')

/** Returns the strings in JSON, and each number both as written and as JavaScript prints it. */
function valuesIn(text: string): string[] {
  const found: string[] = []
  const keep = (_: string, value: unknown, context?: { source?: string }) => {
    if (typeof value === 'string') found.push(value)
    if (typeof value === 'number') found.push(context?.source ?? '', String(value))
    return value
  }
  try {
    JSON.parse(text, keep)
    return found
  } catch {
    return []
  }
}

/**
 * Returns a secret in all encodings that programs print. The runner masks fewer encodings.
 * @see https://github.com/actions/runner/blob/main/src/Sdk/DTLogging/Logging/ValueEncoders.cs
 */
function secretForms(secret: string): string[] {
  const inJson = jsonEscape(secret)
  const inAscii = inJson.replace(/[^\x00-\x7f]/g, toUnicodeEscape)
  const inUrl = encodeURIComponent(secret.toWellFormed())
  const strictly = inUrl.replace(/[!'()*]/g, found => `%${hexOf(found).toUpperCase()}`)
  return [
    ...new Set([
      secret,
      // Go and other languages escape HTML characters.
      ...[inJson, inAscii].flatMap(form => [
        form,
        form.replace(/[<>&]/g, toUnicodeEscape),
        form.replace(/[<>&']/g, toUnicodeEscape),
      ]),
      // PHP
      inAscii.replaceAll('/', '\\/'),
      inDotNet(secret),
      // JSON within JSON, such as `toJSON` of an output that is JSON.
      jsonEscape(inJson),
      secret.replaceAll('"', '\\"'),
      secret.replaceAll("'", "''"),
      // Shell traces from `set -x`.
      secret.replaceAll("'", "'\\''"),
      // URL encoding with and without !'()*, with hexadecimal digits in upper and lower case, and form encoding.
      ...[inUrl, strictly]
        .flatMap(form => [form, form.replace(/%../g, found => found.toLowerCase())])
        .flatMap(form => [form, form.replaceAll('%20', '+')]),
      ...QUOTES.flatMap(quote => APOSTROPHES.map(apostrophe => xmlEscape(secret, quote, apostrophe))),
      ...base64Forms(secret),
    ]),
  ]
}

const jsonEscape = (text: string) => JSON.stringify(text).slice(1, -1)

const hexOf = (char: string) => char.charCodeAt(0).toString(16)
const toUnicodeEscape = (char: string) => `\\u${hexOf(char).padStart(4, '0')}`

/** @see https://learn.microsoft.com/dotnet/standard/serialization/system-text-json/character-encoding */
const inDotNet = (text: string) =>
  text.replace(/./gs, char =>
    /["'`<>&+]|[^\b\t\n\f\r -~]/.test(char)
      ? `\\u${hexOf(char).toUpperCase().padStart(4, '0')}`
      : jsonEscape(char),
  )

const QUOTES = ['"', '&quot;', '&#34;']
const APOSTROPHES = ["'", '&apos;', '&#39;', '&#x27;']
const XML: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;' }
const xmlEscape = (text: string, quote: string, apostrophe: string) =>
  text
    .replace(/[<>&]/g, found => XML[found]!)
    .replaceAll('"', quote)
    .replaceAll("'", apostrophe)

/** Shorter Base64 would match in almost any text. */
const SHORTEST_BASE64 = 4

/** Returns three forms, because bytes before the text shift its Base64. Bytes after the text can change the last digit. */
function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text)
  const digits = [0, 1, 2].flatMap(offset => {
    const rest = bytes.subarray(offset)
    const all = rest.toString('base64').replaceAll('=', '')
    return [all, all.slice(0, Math.floor((rest.length * 8) / 6))]
  })
  return digits
    .filter(form => form.length >= SHORTEST_BASE64)
    .flatMap(form => [form, form.replaceAll('+', '-').replaceAll('/', '_')])
}

export type Masks = ReturnType<typeof createMasks>

/** The maximum size of all patterns. Above this limit, the search would use too much memory, so all text is hidden. */
const MOST_CHARACTERS = 1_000_000

export function createMasks(secrets: readonly string[] = []) {
  const known = new Set<string>()
  let redact: Redact = createRedact([])
  let characters = 0
  const masks = {
    redact: (text: string) => redact(text),
    /** Whether there are too many values to search for. */
    hidesEverything: () => characters > MOST_CHARACTERS,
    add(more: readonly string[]) {
      const before = known.size
      for (const secret of more) known.add(secret)
      if (known.size === before) return
      characters = [...known].reduce((sum, { length }) => sum + length, 0)
      redact = masks.hidesEverything() ? () => '***' : createRedact([...known])
    },
  }
  masks.add(secrets)
  return masks
}

export function mask({ core }: Pick<Runner, 'core'>, secrets: readonly string[]): void {
  for (const part of secrets.flatMap(maskParts)) core.setSecret(part)
}

/** Returns the input `mask`, and the keys and tokens in the environment. `env >> "$PORT_LOG"` would leak the latter. */
export function jobCredentials(inputs: Inputs, env: Runner['env'], reportToken: string | null = null) {
  return [
    inputs.portClientSecret,
    inputs.privateKey,
    inputs.githubToken,
    reportToken ?? '',
    env.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? '',
    env.ACTIONS_RUNTIME_TOKEN ?? '',
    ...inputs.mask,
  ].filter(secret => secret !== '')
}
