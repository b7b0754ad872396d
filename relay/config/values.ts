import { z } from 'zod'
import { isLoopback } from '../../port/is-loopback.ts'
import { trimEnd } from '../../port/trim-end.ts'
import { globProblem } from './glob-problem.ts'
import { isExclusion } from './is-exclusion.ts'

/*
 * The kinds of values that a variable may hold, each from its text, with what it must be as the error.
 */

/** An http(s) address that more can be added to; slashes at the end are taken off. */
export const address = z.string().transform((text, ctx) => {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null) {
    ctx.addIssue('must be an http(s) URL')
    return z.NEVER
  }
  if (url.username || url.password || /[?#]/.test(text)) {
    ctx.addIssue('must be an address alone, without a user, a query or a #')
    return z.NEVER
  }
  return trimEnd(text.trim(), '/')
})

/** One that credentials are sent to. */
export const safeAddress = address.refine(
  url => new URL(url).protocol === 'https:' || isLoopback(new URL(url).hostname),
  'must be https://: actions send their OIDC token there. http:// is for this machine alone, as http://localhost:8080',
)

/** A secret that a header carries: with any other character every request that needs it would fail. */
export const inHeader = z
  .string()
  .regex(
    /^[!-~](?:[ -~]*[!-~])?$/,
    'must be plain ASCII on one line without spaces around it: a header carries it',
  )

export const accessToken = inHeader.min(16, 'must have at least 16 characters')

/** Separated by commas or line breaks. */
export const list = z.string().transform((text, ctx) => items(text.split(/[,\r\n]/), ctx))

/** Globs of repositories, separated so too; a comma within braces is part of a glob: `acme/{shop,web}`. */
export const globs = globList('*/*', glob => globProblem(glob, { repositories: true }))

/** The same of blueprints, whose names hold no slash. */
export const blueprintGlobs = globList('*', glob => globProblem(isExclusion(glob) ? glob.slice(1) : glob))

function globList(everything: string, problemOf: (glob: string) => string | null) {
  return z.string().transform((text, ctx) => {
    const all = items(splitOutsideBraces(text), ctx)
    const problems = all.flatMap(glob => {
      const problem = problemOf(glob)
      return problem ? [`${JSON.stringify(glob)} ${problem}`] : []
    })
    for (const problem of problems) ctx.addIssue(problem)
    if (all.length > 0 && problems.length === 0 && all.every(isExclusion))
      ctx.addIssue(`excludes only: add what is included, such as ${everything}`)
    return all
  })
}

/** In milliseconds. It is added to now, and the sum has to be a date. */
export const duration = amount(
  { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 },
  'must be a duration such as 30s, 10m, 24h or 30d',
  { value: 3650 * 864e5, message: 'must be at most 3650d, which is ten years' },
)

/** In bytes. */
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
  if (all.length === 0) ctx.addIssue('is an empty list: fill it in, or remove the variable')
  return all
}
