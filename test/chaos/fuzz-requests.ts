import { fixtureNames, readFixture } from '../support/fixture.ts'
import { SECRET, sign } from '../support/requests.ts'

export interface FuzzRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: Buffer
}

/** RELAY_MAX_BODY of the tested relay. */
export const MAX_BODY = 64 * 1024

const METHODS = ['POST', 'POST', 'POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PROPFIND']
const PATHS = [
  ...['/webhook', '/webhook', '/webhook', '/webhook/acme/shop', '/webhook/acme/shop?event_type=x'],
  ...['/webhook/acme/other', '/webhook/..%2f..%2fetc/passwd', '/webhook/acme/%00', '/webhook/acme/shop/more'],
  ...['/webhook/%ff/%fe', '/webhook?event_type=%00%ff&wait=never', '/WEBHOOK', '//webhook', '/'],
  ...['/api/deliveries?limit=-1&before=x&state=__proto__', '/api/deliveries/%27%20OR%201=1'],
  ...['/api/deliveries/x/redeliver', '/github', '/report/start', '/metrics', '/healthz', '/readyz'],
  '/__proto__',
]
const TYPES = [
  ...['application/json', 'application/json', 'application/json; charset=utf-8'],
  ...['application/json; charset=utf-16', 'text/plain', 'multipart/form-data; boundary=x'],
  ...['application/vnd.port+json', ';;;'],
]
const fixtures = fixtureNames.map(readFixture)

/** Creates a random request. Equally seeded `random` functions create the same requests. */
export function fuzzRequest(random: () => number): FuzzRequest {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const body = fuzzBody(random, pick)
  const timestamp =
    random() < 0.9
      ? String(Math.floor(Date.now() / 1000))
      : pick(['0', '-1', 'NaN', '1e99', '9'.repeat(400), '١٢٣'.slice(0, 0), ' ', '0x10'])
  const signature =
    random() < 0.7
      ? sign(timestamp, body, SECRET)
      : pick(['v1,', 'v1', 'v2,AAAA', `v1,${'A'.repeat(43)}=`, 'v1,AAAA v1,BBBB', ','.repeat(5_000), ''])
  const headers: Record<string, string> = {
    'x-port-timestamp': timestamp,
    'x-port-signature': signature,
    'content-type': random() < 0.8 ? 'application/json' : pick(TYPES),
  }
  if (random() < 0.05) headers['content-encoding'] = pick(['gzip', 'identity', 'br', 'x'])
  if (random() < 0.05) delete headers[pick(Object.keys(headers))]
  if (random() < 0.1) headers.run_id = pick(['r_1', '', '__proto__', 'x'.repeat(5_000), "'; --", '%00'])
  if (random() < 0.05) headers.authorization = pick(['Bearer', 'Bearer x', 'Basic Og==', 'x'.repeat(4_000)])
  return { method: pick(METHODS), path: pick(PATHS), headers, body }
}

function fuzzBody(random: () => number, pick: <T>(list: readonly T[]) => T): Buffer {
  const chance = random()
  if (chance < 0.3) return mutated(Buffer.from(pick(fixtures).body), random)
  if (chance < 0.6) return Buffer.from(JSON.stringify(strange(random, pick, 0)) ?? '')
  if (chance < 0.7) return Buffer.from(Array.from({ length: random() * 400 }, () => random() * 256))
  if (chance < 0.75) return nested(pick([10, 89, 91, 1_000, 30_000]), pick(BRACKETS))
  if (chance < 0.78) return Buffer.alloc(pick([MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, 3 * MAX_BODY]), ' ')
  if (chance < 0.85) return Buffer.from(pick(TEXTS))
  return Buffer.from(
    JSON.stringify({
      run: { id: strange(random, pick, 2) },
      github: { repository: strange(random, pick, 2), event_type: strange(random, pick, 2) },
      inputs: strange(random, pick, 0),
    }),
  )
}

const BRACKETS = [
  ['[', ']'],
  ['{"a":', '}'],
] as const
const TEXTS = [
  ...['', 'null', 'true', '1e999', '"text"', '[]'],
  ...['{"__proto__":{"runId":"r_1"},"constructor":{"prototype":{"x":1}}}', '{"run":{"id":"r_1","id":"r_2"}}'],
  ...['{"run":{"id":"\\ud800"}}', '{"run":{"id":"a\\u0000b"},"inputs":{"x":"\\u0000"}}', '\ufeff{}'],
  ...['{"a":1}{"b":2}', '{"a":NaN}', "{'a':1}", '{"port_context":{"runId":{"toString":1}}}'],
  '{"payload":{"action":{"payload":null}}}',
]
const KEYS = [
  ...['run', 'id', 'runId', 'context', 'port_context', 'action', 'identifier', 'trigger', 'by', 'user'],
  ...['inputs', 'entity', 'payload', 'properties', 'github', 'repository', 'event_type', 'operation'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', '\u0000', 'é', '💥'],
]
const VALUES = [null, true, 0, -1, 1e308, '', 'x', 'acme/shop', 'acme/../shop', 'r_1', 'x'.repeat(3_000)]

function strange(random: () => number, pick: <T>(list: readonly T[]) => T, depth: number): unknown {
  const chance = random()
  if (depth > 4 || chance < 0.4) return pick([...VALUES, '\ud800', '\u0000', random()])
  const length = Math.floor(random() * 5)
  if (chance < 0.55) return Array.from({ length }, () => strange(random, pick, depth + 1))
  const object: Record<string, unknown> = {}
  for (let i = 0; i < length; i++) {
    const value = strange(random, pick, depth + 1)
    // Keys are defined, not assigned, because assigning to "__proto__" would set the prototype.
    Object.defineProperty(object, pick(KEYS), { value, enumerable: true, configurable: true })
  }
  return object
}

function mutated(bytes: Buffer, random: () => number): Buffer {
  for (let n = random() * 6; n >= 1; n--) bytes[Math.floor(random() * bytes.length)] = random() * 256
  return random() < 0.3 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
}

const nested = (levels: number, [open, close]: readonly [string, string]) =>
  Buffer.from(`${open.repeat(levels)}1${close.repeat(levels)}`)

/** Bytes that aren't HTTP, or are malformed HTTP. */
const RAW = [
  'GET\r\n\r\n',
  '\r\n\r\n\r\n',
  'POST /webhook HTTP/1.1\r\n\r\n',
  'POST /webhook HTTP/9.9\r\nhost: x\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\nx: \u0000\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"half":',
  'POST http://[ HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /%zz%%% HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET http://other.example/webhook HTTP/1.1\r\nhost: other.example\r\n\r\n',
  'GET /webhook HTTP/1.1\r\nhost: a b c\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
  'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  'POST /webhook HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}',
  'POST /webhook HTTP/1.1\r\nhost: x\r\nexpect: nothing\r\ncontent-length: 2\r\n\r\n{}',
  `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
  `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(3_000)}\r\n`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
]

/** Creates malformed or random bytes. */
export const rawBytes = (random: () => number): Buffer =>
  random() < 0.8
    ? Buffer.from(RAW[Math.floor(random() * RAW.length)] as string, 'latin1')
    : Buffer.from(Array.from({ length: random() * 300 }, () => random() * 256))
