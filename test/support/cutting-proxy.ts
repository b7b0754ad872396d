import { connect, createServer } from 'node:net'
import { listenHere } from './listen-here.ts'

/** Puts a PostgreSQL database behind a proxy that cuts a connection if a response or request contains a text. */
export async function cutting({ url: database }: { url: string }) {
  const url = new URL(database)
  const port = Number(url.port)
  let cuts = 0
  let response = ''
  let request: string | null = null
  let isSilent = false
  const proxy = createServer(relay => {
    const server = connect(port, '127.0.0.1')
    const end = () => {
      relay.destroy()
      server.destroy()
    }
    for (const socket of [relay, server]) socket.on('error', end).on('close', end)
    relay.on('data', data => {
      if (request !== null && data.includes(request)) {
        request = null
        end()
      } else server.write(data)
    })
    server.on('data', data => {
      if (isSilent) return
      if (cuts > 0 && data.includes(response)) {
        cuts--
        end()
      } else relay.write(data)
    })
  })
  url.port = String(await listenHere(proxy))
  return {
    address: { kind: 'postgres' as const, url: url.href },
    cut(times: number, text = 'INSERT 0') {
      cuts = times
      response = text
    },
    cutBefore(text: string) {
      request = text
    },
    silence(on: boolean) {
      isSilent = on
    },
  }
}
