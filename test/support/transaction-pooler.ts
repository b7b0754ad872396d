import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface PoolerOptions {
  /** The number of connections to the server. */
  size: number
  /** Whether a client gets a server connection for one transaction, or until it disconnects. */
  mode: 'transaction' | 'session'
  /** Which free connection a transaction gets. */
  next: 'last used' | 'longest unused'
}

/**
 * Starts a connection pooler in front of a PostgreSQL server. It doesn't track prepared statements, like PgBouncer
 * with `max_prepared_statements = 0`: a prepared statement exists only on the server connection that prepared it.
 * Clients need no password.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export async function startPooler(url: string, { size, mode, next }: PoolerOptions) {
  const address = new URL(url)
  const { hostname, port, username, password, pathname } = address
  const sockets = new Set<Socket>()
  const free: Server[] = []
  const waiting: (() => void)[] = []
  let open = 0

  async function take(): Promise<Server> {
    for (;;) {
      const server = next === 'last used' ? free.pop() : free.shift()
      if (server) return server
      if (open < size) {
        open++
        const parameters = { user: username, database: pathname.slice(1) }
        return login(keep(connect(Number(port), hostname)), parameters, password)
      }
      await new Promise<void>(resolve => waiting.push(resolve))
    }
  }
  function returnPermits(server: Server | null): void {
    if (server) free.push(server)
    else open--
    waiting.shift()?.()
  }
  function keep(socket: Socket): Socket {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    return socket
  }

  const listener = createServer(client => {
    keep(client)
    let server: Server | null = null
    /** The number of Query and Sync messages without a response, and whether more was sent after the last one. */
    let unanswered = 0
    let isOpen = false
    let work: Promise<unknown> = Promise.resolve()
    const onResponse = (message: Buffer) => {
      client.write(message)
      if (letter(message) !== 'Z') return
      unanswered--
      const isIdle = message.toString('latin1', 5) === 'I'
      if (mode === 'session' || unanswered > 0 || isOpen || !isIdle || !server) return
      server.onMessage = () => {}
      returnPermits(server)
      server = null
    }
    const forward = async (message: Buffer) => {
      if (letter(message) === 'X') return client.end()
      isOpen = letter(message) !== 'Q' && letter(message) !== 'S'
      if (!isOpen) unanswered++
      if (!server) {
        server = await take()
        server.onMessage = onResponse
      }
      server.socket.write(message)
    }
    readMessages(client, 'client', message => {
      if (letter(message) === 'startup') client.write(WELCOME)
      else work = work.then(() => forward(message))
    })
    client.on('close', () => {
      work = work.then(() => {
        server?.socket.destroy()
        if (server) returnPermits(null)
        server = null
      })
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  address.port = String((listener.address() as AddressInfo).port)
  return {
    /** The database's URL, through the pooler. */
    url: address.href,
    async close() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

interface Server {
  socket: Socket
  onMessage: (message: Buffer) => void
}

async function login(socket: Socket, parameters: Record<string, string>, password: string): Promise<Server> {
  const ready = Promise.withResolvers<void>()
  const server: Server = {
    socket,
    onMessage(message) {
      // AuthenticationCleartextPassword
      if (letter(message) === 'R' && message.readInt32BE(5) === 3) socket.write(frame('p', `${password}\0`))
      if (letter(message) === 'Z') ready.resolve()
    },
  }
  readMessages(socket, 'server', message => server.onMessage(message))
  const text = [...Object.entries(parameters).flat(), ''].join('\0')
  const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(`${text}\0`)])
  socket.write(Buffer.concat([int32(body.length + 4), body]))
  await ready.promise
  return server
}

/** Splits a stream into messages. A client's first message has no type letter. */
function readMessages(socket: Socket, from: 'client' | 'server', onMessage: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  let isFirst = from === 'client'
  socket.on('data', data => {
    rest = Buffer.concat([rest, data])
    for (;;) {
      const at = isFirst ? 0 : 1
      if (rest.length < at + 4) return
      const length = at + rest.readInt32BE(at)
      if (rest.length < length) return
      const message = rest.subarray(0, length)
      rest = rest.subarray(length)
      isFirst = false
      onMessage(message)
    }
  })
}

/** Lengths are below 2^24, so a message without a letter starts with a zero. */
const letter = (message: Buffer) => (message[0] === 0 ? 'startup' : String.fromCharCode(message[0] as number))

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const frame = (type: string, body: string | Buffer) =>
  Buffer.concat([Buffer.from(type), int32(4 + body.length), Buffer.from(body)])

/** AuthenticationOk, and ReadyForQuery. */
const WELCOME = Buffer.concat([frame('R', int32(0)), frame('Z', 'I')])
