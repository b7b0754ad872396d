import picomatch from 'picomatch'
import { z } from 'zod'
import { isLoopback, trimEnd } from '../../port/text.ts'

// Schemas that parse the text of a variable. Each schema's error states the valid values.

/** An http(s) base URL. Trailing slashes are removed. */
export const address = z.string().transform((text, ctx) => {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null
  const isBase = !url?.username && !url?.password && !/[?#]/.test(text)
  if (url && isBase) return trimEnd(text.trim(), '/')
  ctx.addIssue(
    url ? 'must be a base URL without a user name, password, query, or fragment' : 'must be an http(s) URL',
  )
  return z.NEVER
})

export const safeAddress = address.refine(
  url => new URL(url).protocol === 'https:' || isLoopback(new URL(url).hostname),
  'must be https://, because actions send their OIDC token there; http:// is allowed only for this machine, such as http://localhost:8080',
)

/** A URL that contains a secret, such as a Slack webhook URL. */
export const secretUrl = z
  .string()
  .trim()
  .refine(
    text => /^https?:\/\/[^/@]+(?:\/|$)/i.test(text) && URL.canParse(text),
    'must be an http(s) URL without a user name or password',
  )

/**
 * A signing key of Standard Webhooks in base64. The prefix can be omitted.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export const signingSecret = z.string().transform((text, ctx) => {
  const [, base64 = ''] = /^(?:whsec_)?([A-Za-z0-9+/]+={0,2})$/.exec(text.trim()) ?? []
  const key = Buffer.from(base64, 'base64')
  if (key.length >= 24 && key.length <= 64) return key
  ctx.addIssue('must be whsec_ followed by 24 to 64 bytes in base64, such as from openssl rand -base64 32')
  return z.NEVER
})

/** A secret that is sent in a header, and must therefore be plain ASCII. */
export const inHeader = z
  .string()
  .regex(
    /^[!-~](?:[ -~]*[!-~])?$/,
    'must be plain ASCII on one line without spaces around it, because it is sent in a header',
  )

export const accessToken = inHeader.min(16, 'must have at least 16 characters')

/** Pairs `name=value`, separated by commas. As in OpenTelemetry, the values are percent-encoded. */
export const headers = z.string().transform((text, ctx) => {
  const pairs = items(text.split(','), ctx).map(pair => {
    const [name = '', ...value] = pair.split('=')
    return [name.trim(), value.join('=').trim()] as const
  })
  try {
    if (pairs.every(([name]) => /^[!#$%&'*+.^_`|~\w-]+$/.test(name)))
      return Object.fromEntries(pairs.map(([name, value]) => [name, decodeURIComponent(value)]))
  } catch {}
  ctx.addIssue('must be name=value, separated by commas; in a value, write % as %25 and a comma as %2C')
  return z.NEVER
})

export const list = z.string().transform((text, ctx) => items(text.split(/[,\r\n]/), ctx))

/** Repository globs, separated by commas or line breaks. A comma within braces is part of a glob, such as `acme/{shop,web}`. */
export const globs = globList('*/*', glob => globProblem(glob, { repositories: true }))

/** Blueprint globs, separated by commas or line breaks. Blueprint names contain no slash. */
export const blueprintGlobs = globList('*', glob => globProblem(isExclusion(glob) ? glob.slice(1) : glob))

function globList(everything: string, problemOf: (glob: string) => string | null) {
  return z.string().transform((text, ctx) => {
    const all = items(splitOutsideBraces(text), ctx)
    const wrong = all.filter(problemOf)
    for (const glob of wrong) ctx.addIssue(`${JSON.stringify(glob)} ${problemOf(glob)}`)
    if (all.length > 0 && wrong.length === 0 && all.every(isExclusion))
      ctx.addIssue(`only excludes names: add a glob that includes names, such as ${everything}`)
    return all
  })
}

/** A duration in milliseconds. The maximum ensures that the current time plus a duration is a valid date. */
export const duration = amount(
  { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 },
  'must be a duration such as 30s, 10m, 24h or 30d',
  { value: 3650 * 864e5, message: 'must be at most 3650d, which is ten years' },
)

export const size = amount(
  { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 },
  'must be a size such as 512kb or 1mb',
)

export function whole(message: string, min: number, max: number) {
  return z
    .string()
    .refine(text => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max, message)
    .transform(Number)
}

function amount(units: Record<string, number>, message: string, most?: { value: number; message: string }) {
  return z.string().transform((text, ctx) => {
    const [, number, unit] = /^(\d+)\s*([a-z]+)$/i.exec(text.trim()) ?? []
    const value = Number(number) * (units[unit?.toLowerCase() ?? ''] ?? Number.NaN)
    if (most && value > most.value) ctx.addIssue(most.message)
    else if (Number.isSafeInteger(value) && value > 0) return value
    else ctx.addIssue(message)
    return z.NEVER
  })
}

function splitOutsideBraces(text: string): string[] {
  const parts = ['']
  let level = 0
  for (const char of text) {
    if (char === '{') level++
    else if (char === '}') level--
    if (level <= 0 && /[,\r\n]/.test(char)) parts.push('')
    else parts[parts.length - 1] += char
  }
  return parts
}

function items(texts: string[], ctx: z.RefinementCtx): string[] {
  const all = texts.map(text => text.trim()).filter(Boolean)
  if (all.length === 0) ctx.addIssue('is an empty list: add an entry, or remove the variable')
  return all
}

/** Whether a repository glob excludes names. The glob `!(a|b)` is an ordinary pattern, not an exclusion. */
export const isExclusion = (glob: string): boolean => /^!(?!\()/.test(glob)

/**
 * Returns what is wrong with a glob, as a clause to write after the glob; null if the glob is valid.
 * @param options.repositories whether the glob is for `owner/name`. If so, a leading `!` excludes names.
 */
export function globProblem(glob: string, options: { repositories?: boolean } = {}): string | null {
  const pattern = options.repositories && isExclusion(glob) ? glob.slice(1) : glob
  // Within braces, picomatch treats the `!` as a literal character, so the glob would exclude nothing.
  if (pattern.includes('{') && /[{,]!(?!\()/.test(pattern)) {
    return 'has a "!" within braces, which excludes nothing: write the exclusion as a separate glob, such as !acme/secret'
  }
  if (options.repositories && !mayMatchRepository(pattern)) {
    return 'matches no repository: it must have the form owner/name without .git, such as acme/* or */*'
  }
  try {
    picomatch.makeRe(pattern, { strictBrackets: true, posix: true })
  } catch (error) {
    return pattern === '' ? 'must not be empty' : `isn't a glob: ${(error as Error).message}`
  }
  return null
}

/** Whether a pattern can match a repository. Returns false for typical mistakes: a URL, an owner without a name, a single star, `.git` at the end. */
function mayMatchRepository(pattern: string): boolean {
  if (/\s|:|^!|^\/|\/$|\.git$/i.test(pattern)) return false
  const parts = pattern.split('/')
  if (parts.includes('**')) return true
  return /[{(]/.test(pattern) ? parts.length > 1 : parts.length === 2
}

type Env = Record<string, string | undefined>

/**
 * Reads the environment. Reads each secret from its variable or file. An empty variable counts as unset. Removes a
 * leading byte order mark and trailing line breaks, which editors and shells can add.
 * @param names the names of the secrets that can come from a file (`NAME_FILE`)
 * @param problems the list to which the function adds problems, one sentence each
 * @returns the values, and the names of the secrets whose files can't be read. Each such file is also in `problems`.
 */
export function readSecrets(
  env: Env,
  names: string[],
  readFile: (path: string) => string,
  problems: string[],
): { values: Env; unread: string[] } {
  const unread: string[] = []
  const values: Env = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
  for (const name of names) {
    const path = values[`${name}_FILE`]
    if (path && values[name]) problems.push(`${name} and ${name}_FILE are both set: keep one`)
    if (path) values[name] = readOne(name, path)
    if (values[name]) values[name] = trimEnd(values[name].replace(/^\ufeff/, ''), '\r\n')
  }
  return { values, unread }

  function readOne(name: string, path: string): string {
    try {
      const text = readFile(path)
      if (text.trim()) return text
      problems.push(`${name}_FILE: ${path} is empty`)
    } catch (error) {
      const { code = 'error' } = error as NodeJS.ErrnoException
      problems.push(`${name}_FILE: ${path} can't be read (${code})`)
    }
    unread.push(name)
    return 'unread'
  }
}
