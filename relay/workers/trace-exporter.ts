import http from 'node:http'
import https from 'node:https'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions'
import packageJson from '../../package.json' with { type: 'json' }
import type { Config } from '../config/config.ts'
import type { Store, TracedDelivery } from '../store/store.ts'
import { type Origin, spansOf } from './trace-spans.ts'

export interface TraceExporter {
  /** Sends the traces in one request. @returns the error, or null if the collector accepted the traces */
  send(finished: [TracedDelivery, Awaited<ReturnType<Store['history']>>][]): Promise<Error | null>
}

/** Timeout, including the exporter's retries. */
const TIMEOUT_MS = 5_000
const NAME = 'port-webhook-relay'

/** @param githubUrl URL of GitHub's API */
export function createTraceExporter(
  { endpoint, headers }: NonNullable<Config['tracing']>,
  githubUrl: string,
): TraceExporter {
  const exporter = new OTLPTraceExporter({
    ...{ url: `${endpoint}/v1/traces`, headers, timeoutMillis: TIMEOUT_MS },
    // The exporter's default agent wouldn't use the relay's proxy.
    httpAgentOptions: protocol => (protocol === 'http:' ? http : https).globalAgent,
  })
  const { version } = packageJson
  const resource = {
    attributes: { [ATTR_SERVICE_NAME]: NAME, [ATTR_SERVICE_VERSION]: version },
  } as unknown as Origin['resource']
  const { hostname: githubHost } = new URL(githubUrl)
  const origin = { resource, instrumentationScope: { name: NAME, version }, githubHost }
  return {
    send: finished =>
      new Promise(resolve => {
        const spans = finished.flatMap(([delivery, history]) => spansOf(delivery, history, origin))
        exporter.export(spans, ({ code, error }) =>
          resolve(code === 0 ? null : (error ?? new Error('the export failed'))),
        )
      }),
  }
}
