import { callAdmin } from './admin-client.ts'
import { defineCommand, JSON_OPTION } from './command.ts'

type Shown = {
  delivery: string
  state: string
  reason: string | null
  run_id: string | null
  repository: string
  event_type: string
  received_at: string
}

export const deliveries = defineCommand({
  name: 'deliveries',
  summary: 'Lists the newest deliveries.',
  options: {
    state: {
      type: 'string',
      value: 'STATE',
      help: 'those that are queued, dispatched, running, finished or failed',
    },
    repository: { type: 'string', value: 'OWNER/NAME', help: 'those for this repository' },
    limit: { type: 'string', value: 'NUMBER', help: 'at most so many; 50 by default' },
    json: JSON_OPTION,
  },
  async run({ env, values: { json, ...filter }, print }) {
    const answer = (await callAdmin(env, 'GET', `/api/deliveries?${new URLSearchParams(filter)}`)) as {
      deliveries: Shown[]
    }
    if (json) return void print(JSON.stringify(answer))
    for (const d of answer.deliveries) {
      print(
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
    if (answer.deliveries.length === 0) print('No delivery matches.')
  },
})
