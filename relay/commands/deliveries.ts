import { parseArgs } from 'node:util'
import { callAdmin } from './admin-client.ts'

type Shown = {
  delivery: string
  state: string
  reason: string | null
  run_id: string | null
  repository: string
  event_type: string
  received_at: string
}

/** Lists the newest deliveries: `deliveries [--state failed] [--repository owner/name] [--limit 50]`. */
export async function deliveries(env: Record<string, string | undefined>, args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { state: { type: 'string' }, repository: { type: 'string' }, limit: { type: 'string' } },
  })
  const answer = (await callAdmin(env, 'GET', `/api/deliveries?${new URLSearchParams(values)}`)) as {
    deliveries: Shown[]
  }
  for (const d of answer.deliveries) {
    console.log(
      [
        d.received_at.slice(0, 19),
        d.delivery,
        d.state.padEnd(10),
        d.run_id ?? '-',
        d.repository,
        d.event_type,
        d.reason ?? '',
      ].join('  '),
    )
  }
}
