import type { Config } from '../config/config.ts'
import type { ThrottledLog } from '../log.ts'
import type { Store } from '../store/store.ts'

const AT_ONCE = 20
const LEASE_MS = 60_000
const FAILED =
  'the trace collector (OTEL_EXPORTER_OTLP_ENDPOINT) is unreachable or rejects traces; the relay sends them again later'

/** Creates a function that exports due traces. If the export fails, the traces are due again when the claim expires, with the same IDs. */
export function createTraces(deps: {
  tracing: NonNullable<Config['tracing']>
  github: { apiUrl: string }
  store: Pick<Store, 'claimTraces' | 'settleTraces' | 'history' | 'clock'>
  throttled: Pick<ThrottledLog, 'warn'>
}) {
  const { tracing, github, store, throttled } = deps
  const load = async () => (await import('./trace-exporter.ts')).createTraceExporter(tracing, github.apiUrl)
  let loading: ReturnType<typeof load> | undefined

  return async (stopped: () => boolean): Promise<void> => {
    let claimed: Awaited<ReturnType<Store['claimTraces']>>
    do {
      claimed = await store.claimTraces(store.clock(), LEASE_MS, AT_ONCE)
      if (claimed.length === 0) return
      loading ??= load()
      const exporter = await loading
      const histories = await Promise.all(claimed.map(({ id }) => store.history(id)))
      const error = await exporter.send(claimed.map((delivery, i) => [delivery, histories[i] ?? []]))
      if (error) return throttled.warn({ err: error }, FAILED)
      await store.settleTraces(claimed)
    } while (claimed.length === AT_ONCE && !stopped())
  }
}
