import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { BOUNDS } from '../config/bounds.ts'

/**
 * Options of a server that closes a connection on which a request arrives before the response to the last one was
 * flushed. A packet holds thousands of requests, and Node would make objects for all of them before the first is
 * answered. Only an upgrade ends its parser in the middle of a packet; Node closes the connection if nobody listens to
 * upgrades.
 *
 * @param onPipelined called with each connection before it is closed
 */
export function oneAtATime(onPipelined: (socket: Socket) => void) {
  const underWay = new WeakMap<Socket, number>()
  const count = (socket: Socket, change: number) => underWay.set(socket, (underWay.get(socket) ?? 0) + change)
  return {
    IncomingMessage: class extends IncomingMessage {
      constructor(socket: Socket) {
        super(socket)
        count(socket, 1)
        if ((underWay.get(socket) ?? 0) <= BOUNDS.requestsAtOnce.value) return
        Object.defineProperty(this, 'upgrade', { get: () => true, set() {} })
        onPipelined(socket)
      }
    },
    ServerResponse: class<Request extends IncomingMessage> extends ServerResponse<Request> {
      constructor(request: Request) {
        super(request)
        this.once('close', () => count(request.socket, -1))
      }
    },
  }
}
