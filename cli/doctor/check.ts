import { describeNetworkError } from '../../port/client/errors.ts'
import type { Config } from '../../relay/config/config.ts'
import type { Env } from '../command.ts'

/** The result of a check. The sentence names the setting or permission to change. */
export type Finding = { status: 'ok' | 'warning' | 'problem'; sentence: string }

export interface CheckDeps {
  env: Env
  config: Config
  clock: () => number
  fetch: typeof fetch
  readFile: (path: string) => string
  /** The names of earlier checks that found a problem. */
  failed: readonly string[]
}

/** A check of `doctor`. An error that the check throws is reported as a problem. */
export type Check = { name: string; run(deps: CheckDeps): Findings | Promise<Findings> }
export type Findings = (Finding | false)[]

export const ok = (sentence: string): Finding => ({ status: 'ok', sentence })
export const warning = (sentence: string): Finding => ({ status: 'warning', sentence })
export const problem = (sentence: string): Finding => ({ status: 'problem', sentence })

export const TIMEOUT_MS = 10_000

/** Describes a network failure briefly, with the fix for a certificate that isn't valid or trusted. */
export function whyUnreachable(error: unknown): string {
  const code = describeNetworkError(error)
  if (code === 'CERT_HAS_EXPIRED') return `${code}: renew the server's certificate`
  if (code === 'CERT_NOT_YET_VALID') return `${code}: check this machine's clock`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `${code}: the certificate is for another name`
  return /CERT|SIGNED|ISSUER/.test(code) ? `${code}: set NODE_EXTRA_CA_CERTS to the CA's certificate` : code
}

const NOTICED_MS = 30_000

/** How far this machine's clock is ahead of a response's `date`, in seconds; NaN if unknown. */
export const secondsAhead = (date: string | null | undefined, now: number) =>
  Math.round((now - Date.parse(date ?? '')) / 1000)

/** Reports a clock difference, which is a problem if it exceeds `mostMs`. @param reason why the clocks must match */
export function compareClock(whose: string, ahead: number, mostMs: number, reason: string): Finding | false {
  const apart = Math.abs(ahead)
  if (!(apart * 1000 > NOTICED_MS)) return false
  const sentence = `This machine's clock is ${apart} s ${ahead > 0 ? 'ahead of' : 'behind'} ${whose}: ${reason} Synchronize it with NTP.`
  return apart * 1000 > mostMs ? problem(sentence) : warning(sentence)
}
