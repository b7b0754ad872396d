import type { IncomingMessage, RequestListener } from 'node:http'
import type { Readable } from 'node:stream'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Head } from './request.ts'

/** Handles a webhook, and returns the response. @throws Problem for every refusal */
export type Receive = (
  head: Head,
  body: Readable,
) => Promise<{ status: 200 | 202; headers: Record<string, string>; text: string }>

/** Matches URLs and hosts that Hono would leave unchanged. */
const URL = /^\/webhook(?:\/[\w-]+\/\.?[\w-][\w.-]*)?(?:\?[\w=&.~+:,/-]*)?$/
const HOST = /^[a-z\d._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/

type Fact = Parameters<Head['set']>[0]
const refused = new WeakMap<IncomingMessage, { error: unknown; facts: Fact[] }>()

/** Serves webhooks without Hono, which would add 13 percent to a webhook's CPU time with SQLite, and 5 percent with PostgreSQL. If a webhook is refused, Hono creates the response. */
export function serveDirectly(receive: Receive, others: RequestListener): RequestListener {
  return (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming
    const { host = '' } = headers
    if (!URL.test(url) || !HOST.test(host)) return others(incoming, outgoing)
    const facts: Fact[] = []
    const header = (name: string) => headers[name] as string | undefined
    const req = { method, url: `http://${host}${url}`, header }
    receive({ env: { incoming }, req, set: fact => void facts.push(fact) }, incoming).then(
      ({ status, headers, text }) =>
        outgoing.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) }).end(text),
      error => {
        refused.set(incoming, { error, facts })
        others(incoming, outgoing)
      },
    )
  }
}

export function throwRefused(c: Context): void {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const found = incoming && refused.get(incoming)
  if (!found) return
  for (const fact of found.facts) c.set(fact, true)
  throw found.error
}
