import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { APIGatewayProxyResult } from 'hono/aws-lambda'
import { onTestFinished } from 'vitest'
import type { Context, Event } from '../../relay/lambda-handler.ts'

/** The type of event in which AWS passes a request to the function. An HTTP API without a stage is like a URL. */
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

export function toEvent(
  request: Pick<IncomingMessage, 'url' | 'method' | 'headers'>,
  bytes: Buffer,
  { shape, base64 = false }: GatewayOptions,
): Event {
  const { pathname, searchParams, search } = new URL(request.url!, 'http://gateway')
  const method = request.method!
  const sourceIp = '198.51.100.7'
  const headers: Record<string, string> = {
    ...Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    ...{ 'x-forwarded-for': sourceIp, 'x-forwarded-port': '443', 'x-forwarded-proto': 'https' },
  }
  const content = {
    body: bytes.length === 0 ? null : bytes.toString(base64 ? 'base64' : 'utf8'),
    isBase64Encoded: base64 && bytes.length > 0,
  }
  const domainName = 'abcdefghij.example.on.aws'
  const requestId = 'JKJaXmPLvHcESHA='
  if (shape === 'REST API') {
    const multiValueHeaders = Object.entries(headers).map(([name, value]) => [name, [value]])
    const parameters = [...searchParams.keys()].map(name => [name, searchParams.getAll(name)])
    return {
      resource: '/{proxy+}',
      path: pathname,
      httpMethod: method,
      ...{ headers, multiValueHeaders: Object.fromEntries(multiValueHeaders) },
      queryStringParameters: Object.fromEntries(searchParams),
      multiValueQueryStringParameters: Object.fromEntries(parameters),
      pathParameters: { proxy: pathname.slice(1) },
      stageVariables: undefined,
      requestContext: {
        ...{ accountId: '123456789012', apiId: 'abcdefghij', domainName, domainPrefix: 'abcdefghij' },
        ...{ extendedRequestId: requestId, httpMethod: method, path: `/prod${pathname}`, system: 'prod' },
        ...{ protocol: 'HTTP/1.1', requestId, resourceId: 'x', resourcePath: '/{proxy+}' },
        requestTime: '26/Nov/2026:05:00:00 +0000',
        requestTimeEpoch: Date.now(),
        identity: { sourceIp, userAgent: headers['user-agent'] ?? '' },
      },
      ...content,
    } as unknown as Event
  }
  const system = shape === 'HTTP API with a stage' ? 'live' : '$default'
  const rawPath = system === 'live' ? `/live${pathname}` : pathname
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString: search.slice(1),
    headers,
    queryStringParameters: Object.fromEntries(searchParams),
    requestContext: {
      ...{ accountId: '123456789012', apiId: 'abcdefghij', domainName, domainPrefix: 'abcdefghij' },
      http: { method, path: rawPath, protocol: 'HTTP/1.1', sourceIp, userAgent: headers['user-agent'] ?? '' },
      ...{ requestId, routeKey: '$default', stage: system },
      time: '26/Nov/2026:05:00:00 +0000',
      timeEpoch: Date.now(),
    },
    ...content,
  } as unknown as Event
}

/** The event from an EventBridge rule that fires every minute. */
export const scheduled = {
  version: '0',
  id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '123456789012',
  time: '2026-11-26T05:00:00Z',
  region: 'eu-west-1',
  resources: ['arn:aws:events:eu-west-1:123456789012:rule/relay-schedule'],
  detail: {},
}

/** Returns the function's remaining time, counted from now. */
export const contextFor = (timeoutMs: number): Context => {
  const endsAt = performance.now() + timeoutMs
  return { getRemainingTimeInMillis: () => Math.max(0, endsAt - performance.now()) }
}
