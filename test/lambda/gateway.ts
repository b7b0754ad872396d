import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { APIGatewayProxyResult } from 'hono/aws-lambda'
import { onTestFinished } from 'vitest'
import type { Context, Event } from '../../relay/lambda-handler.ts'

/** The type of event in which AWS passes a request to the function. An HTTP API without a stage uses the type of a function URL. */
export type Shape = 'function URL' | 'HTTP API with a stage' | 'REST API'

/** Invokes the function as AWS does. */
export type Invoke = (event: Event) => Promise<APIGatewayProxyResult | undefined>

/** Which type of event the gateway creates, in the form that AWS documents. */
export interface GatewayOptions {
  shape: Shape
  /** Encodes bodies as Base64, as AWS does for binary content. */
  base64?: boolean
}

/**
 * Simulates AWS's gateway on a free port: converts each request into an event, and the function's return value into a
 * response. An exception becomes a 502.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
export async function startGateway(invoke: Invoke, options: GatewayOptions): Promise<string> {
  const server = createServer(async (request, response) => {
    try {
      const { statusCode, headers, multiValueHeaders, body, isBase64Encoded } = (await invoke(
        toEvent(request, await buffer(request), options),
      ))!
      response.writeHead(statusCode, headers ?? multiValueHeaders)
      response.end(isBase64Encoded ? Buffer.from(body, 'base64') : body)
    } catch {
      response.writeHead(502).end('{"message": "Internal server error"}')
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Only the fields that a function reads. */
export function toEvent(
  { url, method, headers: sent }: Pick<IncomingMessage, 'url' | 'method' | 'headers'>,
  bytes: Buffer,
  { shape, base64 = false }: GatewayOptions,
): Event {
  const { pathname, searchParams, search } = new URL(url!, 'http://gateway')
  const sourceIp = '198.51.100.7'
  const headers: Record<string, string> = {
    ...Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, String(value)])),
    ...{ 'x-forwarded-for': sourceIp, 'x-forwarded-port': '443', 'x-forwarded-proto': 'https' },
  }
  const content = {
    body: bytes.length === 0 ? null : bytes.toString(base64 ? 'base64' : 'utf8'),
    isBase64Encoded: base64 && bytes.length > 0,
  }
  const domainName = 'abcdefghij.example.on.aws'
  if (shape === 'REST API') {
    const lists = (all: Iterable<[string, string]>) =>
      Object.fromEntries([...all].map(([name, value]) => [name, [value]]))
    return {
      ...{ httpMethod: method, path: pathname, headers, multiValueHeaders: lists(Object.entries(headers)) },
      multiValueQueryStringParameters: lists(searchParams),
      requestContext: { domainName, path: `/prod${pathname}`, identity: { sourceIp } },
      ...content,
    } as unknown as Event
  }
  const stage = shape === 'HTTP API with a stage' ? 'live' : '$default'
  const rawPath = stage === 'live' ? `/live${pathname}` : pathname
  return {
    ...{ version: '2.0', rawPath, rawQueryString: search.slice(1), headers },
    requestContext: { domainName, stage, http: { method, path: rawPath, sourceIp } },
    ...content,
  } as unknown as Event
}

/** The event from an EventBridge rule that fires every minute. */
export const scheduled = { 'detail-type': 'Scheduled Event', source: 'aws.events', detail: {} }

/** Returns the function's remaining time, counted from now. */
export const contextFor = (timeoutMs: number): Context => {
  const endsAt = performance.now() + timeoutMs
  return { getRemainingTimeInMillis: () => Math.max(0, endsAt - performance.now()) }
}
