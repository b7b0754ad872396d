import { once } from 'node:events'
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { keepPort } from '../../simulator/keep-port.ts'

export const ALERT_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

interface Problem {
  type: string
  side: string | null
  key: string
  since: string
  detail: string
}

export interface AlertBody {
  text: string
  started: Problem[]
  resolved: Problem[]
}

/** Starts the server at RELAY_ALERT_URL. It verifies signatures with an independent implementation. */
export async function openAlertEndpoint() {
  const received: { id: string; body: AlertBody }[] = []
  const state = { status: 200 }
  const server = createServer(async (request, response) => {
    const text = String(Buffer.concat(await request.toArray()))
    const body = new Webhook(ALERT_SECRET).verify(text, request.headers as Record<string, string>)
    received.push({ id: String(request.headers['webhook-id']), body: body as AlertBody })
    response.writeHead(state.status).end('ok')
  })
  const port = await keepPort()
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const stop = () => {
    server.closeAllConnections()
    server.close()
  }
  const url = `http://127.0.0.1:${port}/services/T0/secret-of-slack`
  return { url, received, state, stop }
}
