import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import { Problem, refusalOf } from './problem.ts'

/** A request without its body: Hono's Context, or a value that `serveDirectly` creates. */
export interface Head {
  env: unknown
  req: { method: string; url: string; header(name: string): string | undefined }
  set(fact: typeof VERIFIED | typeof PERSISTED, value: true): void
}

/**
 * Returns the network of the sender's address, by which senders are counted. Without proxies, the sender's address is
 * that of the connection. With proxies, it is the entry that the outermost trusted proxy appended to X-Forwarded-For.
 * Earlier entries are ignored, because the sender can choose them.
 */
export function senderAddress(c: Head, trustedProxies: number): string {
  const connection = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket?.remoteAddress ?? ''
  if (trustedProxies === 0) return networkOf(connection)
  const forwarded = (c.req.header('x-forwarded-for') ?? '').split(',')
  const address = forwarded.at(-trustedProxies)?.trim().slice(0, LIMITS.forwardedAddress)
  return networkOf(address || connection)
}

/** Returns an IPv4 address unchanged. For an IPv6 address, returns the /64 network, which usually belongs to one customer. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const bare = address.startsWith('[') ? address.slice(1, address.indexOf(']')) : address
  if (!isIPv6(bare)) return /^[\d.]+:\d+$/.test(bare) ? bare.slice(0, bare.indexOf(':')) : bare
  const mapped = bare.lastIndexOf(':') + 1
  if (bare.includes('.')) return bare.slice(mapped)
  const [head = '', tail] = bare.split('::')
  const first = head.split(':').filter(Boolean)
  if (tail === undefined) return first.slice(0, 4).join(':')
  const last = tail.split(':').filter(Boolean)
  const zeros = Array<string>(8 - first.length - last.length).fill('0')
  return [...first, ...zeros, ...last].slice(0, 4).join(':')
}

/** A key of Hono's context: set if the request's signature or token was verified. Refusals of other requests go to the throttled log. */
export const VERIFIED = 'verified'
const verified = new WeakSet<IncomingMessage>()
export const isVerified = (incoming: IncomingMessage): boolean => verified.has(incoming)

/** Records that the request's signature, token, or session was verified. */
export function noteVerified(c: Head): void {
  c.set(VERIFIED, true)
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  if (incoming) verified.add(incoming as IncomingMessage)
}

/** A key of Hono's context: set if the webhook is persisted. A failure after that, such as a failed dispatch, isn't a refusal. */
export const PERSISTED = 'persisted'

export const requestFields = (c: Context, trustedProxies: number, status: number, error?: Error) => ({
  method: c.req.method,
  path: c.req.path.slice(0, LIMITS.loggedPath),
  status,
  ...(status >= 400 && { reason: refusalOf(error) }),
  address: senderAddress(c, trustedProxies),
})

export const bearer = (c: Context): string | null =>
  /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? null

export type TokenBuckets = ReturnType<typeof createTokenBuckets>

/** Creates a token bucket for each key. A bucket allows `perMinute` calls per minute, and a burst of twice as many. */
export function createTokenBuckets(perMinute: number) {
  const burst = 2 * perMinute
  const buckets = new BoundedMap<string, { tokens: number; at: number }>(LIMITS.countedSenders)
  return {
    /** Takes a token. @returns 0 if the call is allowed; otherwise, the milliseconds to wait */
    take(key: string): number {
      const at = performance.now()
      const known = buckets.get(key) ?? { tokens: burst, at }
      const tokens = Math.min(burst, known.tokens + ((at - known.at) * perMinute) / 60_000)
      buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at })
      return tokens >= 1 ? 0 : ((1 - tokens) * 60_000) / perMinute
    },
  }
}

/** Counts a request with this key. @throws Problem 429 if there were too many */
export function limitRate(buckets: TokenBuckets, key: string, sentence: string): void {
  const waitMs = buckets.take(key)
  if (waitMs > 0) throw refuseOverRate(sentence, waitMs)
}

export const refuseOverRate = (sentence: string, waitMs: number) =>
  new Problem(429, sentence, { 'retry-after': String(Math.ceil(waitMs / 1000)) })
