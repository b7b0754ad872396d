import { isObject, type Json } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'

export type Redact = (text: string) => string

/** Returns a function that redacts secrets and their parts, in every encoding. Overlapping matches become one `***`. */
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

/** Returns a value whose keys, texts, numbers, and booleans are redacted. */
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

/** The state of the empty prefix. */
const ROOT = 1

/**
 * Returns a linear-time search for many patterns, with an Aho-Corasick automaton. Each state is a prefix of a
 * pattern. Its number is the position of the prefix's last character in `codes`. State 0 doesn't exist.
 * @returns the ranges that patterns cover, in order; overlapping ranges are merged
 * @see https://doi.org/10.1145/360825.360855
 */
function createFinder(patterns: readonly string[]): (text: string) => Range[] {
  const size = patterns.reduce((sum, { length }) => sum + length + 1, ROOT + 1)
  const codes = new Uint16Array(size)
  /** Children whose number isn't their parent's number plus one. The first new state of each pattern is one of these children. */
  const branches = new Map<number, number>()
  /** The state of the longest proper suffix that is a state. The search computes a state's fallback when it reaches the state. */
  const fallback = new Int32Array(size)
  /** The length of the longest pattern that ends in a state. The entry before a pattern's first character is -1. */
  const longest = new Int32Array(size)

  const branch = (state: number, code: number) => state * 65_536 + code
  function child(state: number, code: number): number {
    if (codes[state + 1] === code && longest[state + 1]! >= 0) return state + 1
    return branches.get(branch(state, code)) ?? 0
  }

  let last = ROOT
  for (const pattern of patterns) {
    longest[++last] = -1
    let state = ROOT
    for (let at = 0; at < pattern.length; at++) {
      const code = pattern.charCodeAt(at)
      codes[++last] = code
      const next = child(state, code) || last
      if (next === last && next !== state + 1) branches.set(branch(state, code), next)
      state = next
    }
    longest[state] = pattern.length
  }

  function step(from: number, code: number): number {
    const reached: number[] = []
    for (let state = from; state !== 0; state = fallback[state]!) {
      const next = child(state, code)
      if (next !== 0) reached.push(next)
      if (fallback[next] !== 0) break
    }
    let suffix = ROOT
    for (const state of reached.reverse()) {
      fallback[state] ||= suffix
      longest[state] ||= longest[suffix]!
      suffix = state
    }
    return suffix
  }

  return text => {
    const found: Range[] = []
    let state = ROOT
    for (let at = 0; at < text.length; at++) {
      state = step(state, text.charCodeAt(at))
      const size = longest[state]!
      if (size === 0) continue
      const range = { start: at + 1 - size, end: at + 1 }
      while (found.length > 0 && found.at(-1)!.end > range.start)
        range.start = Math.min(range.start, found.pop()!.start)
      found.push(range)
    }
    return found
  }
}

/** The minimum length of a masked part. Masking `{` or `1` would mask most of the log. This minimum doesn't apply to whole secrets. */
const SHORTEST_PART = 4

/**
 * Returns everything to mask for one secret: its lines, and the strings and numbers of JSON. If a text has several
 * lines, the whole text is returned only as Base64. Otherwise, the runner would mask each of its lines, even a single
 * bracket.
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs (AddMaskCommandExtension)
 */
export function maskParts(secret: string): string[] {
  const whole = linesOf(secret)
  const inside = valuesIn(secret)
  const encoded = [secret, ...inside].filter(text => linesOf(text).length > 1).flatMap(encode)
  const long = [...whole, ...inside.flatMap(linesOf)].filter(isLong)
  // If every line is short, the lines with a letter or digit are masked.
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
 * Returns the forms in which programs print a secret. The runner masks only some of these forms.
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
      // Form encoding, and the variants of URL encoding: with or without encoding !'()*, and with digits in upper or lower case.
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
  text.replace(/["'`<>&+\\]|[^ -~]/g, char =>
    /[\\\b\t\n\f\r]/.test(char) ? jsonEscape(char) : `\\u${hexOf(char).toUpperCase().padStart(4, '0')}`,
  )

const QUOTES = ['"', '&quot;', '&#34;']
const APOSTROPHES = ["'", '&apos;', '&#39;', '&#x27;']
const XML: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;' }
const xmlEscape = (text: string, quote: string, apostrophe: string) =>
  text
    .replace(/[<>&]/g, found => XML[found]!)
    .replaceAll('"', quote)
    .replaceAll("'", apostrophe)

/** The minimum length of a Base64 form. Shorter ones would match in almost any text. */
const SHORTEST_BASE64 = 4

/** Returns three forms, because the bytes before a text shift its Base64. Bytes after the text can change the last digit, so each form is also returned without this digit. */
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

/** The maximum size of all patterns. Larger patterns would need too much memory, so all text is hidden instead. */
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

/** Returns the input `mask`, and the keys and tokens in the environment, which `env >> "$PORT_LOG"` would leak. */
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
