import * as http from 'node:http'
import * as https from 'node:https'
import { HttpClient } from '@actions/http-client'
import type { Fetch } from '../../port/client/port-client.ts'

/**
 * A small `fetch` that keeps connections, and goes through the proxy of a self-hosted runner (`https_proxy`,
 * `no_proxy`), which the global one does not without a flag. It follows no redirects.
 */
export function createFetch(): Fetch {
  // One each: a client hands out the agent that it made first, whatever the scheme is then.
  const open = () => new HttpClient(undefined, undefined, { keepAlive: true })
  const plain = { client: open(), request: http.request }
  const secure = { client: open(), request: https.request }
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const { client, request } = url.startsWith('https:') ? secure : plain
      const sent = request(url, { method, headers, signal, agent: client.getAgent(url) }, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({
            status: response.statusCode!,
            headers: { get: name => [response.headers[name.toLowerCase()]].flat()[0] ?? null },
            text: async () => text,
          })
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
}
