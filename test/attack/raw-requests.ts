import { connect } from 'node:net'

/** Bytes that are no HTTP, or nearly. */
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

/** Sends such bytes, or bytes of chance, and hangs up; the status, 0 where there was none. */
export function sendRaw(port: number, random: () => number): Promise<number> {
  const bytes =
    random() < 0.8
      ? Buffer.from(RAW[Math.floor(random() * RAW.length)] as string, 'latin1')
      : Buffer.from(Array.from({ length: random() * 300 }, () => random() * 256))
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    let response = ''
    socket.setTimeout(300, () => socket.destroy())
    socket.on('data', chunk => {
      response += chunk.toString('latin1')
      socket.end()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 0)))
    if (random() < 0.5) socket.end(bytes)
    else socket.write(bytes)
  })
}
