import { createServer, type ServerResponse } from 'node:http'
import { pipeline, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createPortClient } from '../../port/client/client.ts'
import { LIMITS } from '../../relay/config/limits.ts'
import { fetchLimited } from '../../relay/config/outgoing.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { createIssuerKeys } from '../../relay/reports/oidc.ts'
import { listenHere } from '../support/listen-here.ts'

const MB = 1024 ** 2
const TOO_LARGE = `the response has more than ${LIMITS.response} bytes`

/** Starts a server that responds to every request in this way. `sent` counts bytes. */
async function startServer(answer: (response: ServerResponse) => Promise<number> | number, headers = {}) {
  const server = createServer(async (request, response) => {
    request.resume()
    if (request.url === '/v1/auth/access_token') return response.end('{"accessToken":"t","expiresIn":3600}')
    response.writeHead(200, { 'content-type': 'application/json', ...headers })
    sent += await answer(response)
  })
  let sent = 0
  return { url: `http://127.0.0.1:${await listenHere(server)}`, sent: () => sent }
}

/** Creates an endless body that is produced as fast as it is read. */
function endless(response: ServerResponse): Promise<number> {
  const chunk = Buffer.alloc(64 * 1024, '[')
  let length = 0
  const body = new Readable({
    read() {
      length += chunk.length
      this.push(chunk)
    },
  })
  return new Promise(resolve => pipeline(body, response, () => resolve(length)))
}

const readPort = (apiUrl: string) =>
  createPortClient({ apiUrl, clientId: 'c', clientSecret: 's', fetch: fetchLimited }).run('r_1').read()

const gitHub = (url: string) =>
  createGitHub({ apiUrl: url, auth: { token: 't' }, webhookSecret: null, oidcIssuer: url })

const runsPage = (url: string) => gitHub(url).runsPage('acme/shop', 1, null, 'repository_dispatch')

/** @throws Error if GitHub's OIDC issuer has no keys; its message is the logged reason */
async function readKeys(issuer: string) {
  const warned: { error?: Error }[] = []
  const warn = (fields: object) => void warned.push(fields)
  const times = { cooldownMs: 5_000, cacheMs: 60_000, timeoutMs: 10_000 }
  const keys = createIssuerKeys({ issuer, throttled: { warn }, ...times })
  await expect(keys({ alg: 'RS256', kid: 'a' }, { payload: '', signature: '' })).rejects.toThrow('keys')
  throw new Error(JSON.stringify(warned, (_, value) => (value instanceof Error ? value.message : value)))
}

test.each([
  ['Port', readPort, TOO_LARGE],
  ["GitHub's list of runs", runsPage, ''],
  ["GitHub's OIDC issuer", readKeys, TOO_LARGE],
])('an endless response from %s is read only up to its limit', async (_, read, error) => {
  const server = await startServer(endless)
  await expect(read(server.url)).rejects.toThrow(error)
  await expect.poll(server.sent).toBeGreaterThan(0)
  expect(server.sent()).toBeLessThan(LIMITS.response + 32 * MB)
})

test("a small compressed response isn't decompressed beyond the limit", async () => {
  const bomb = gzipSync(Buffer.alloc(200 * MB, ' '), { level: 1 })
  const respond = (response: ServerResponse) => {
    response.end(bomb)
    return bomb.length
  }
  const server = await startServer(respond, { 'content-encoding': 'gzip' })
  await expect(readPort(server.url)).rejects.toThrow(TOO_LARGE)
})
