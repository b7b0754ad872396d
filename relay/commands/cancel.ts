import { callAdmin } from './admin-client.ts'
import { defineCommand, JSON_OPTION, UsageError } from './command.ts'

export const cancel = defineCommand({
  name: 'cancel',
  summary: 'Cancels a delivery, and its workflow run on GitHub.',
  positionals: ['ID'],
  options: { json: JSON_OPTION },
  details:
    'A queued delivery is never dispatched. A running one ends when its workflow run has ended on GitHub.',
  async run({ env, values, positionals: [id], print }) {
    if (!id) throw new UsageError('Name the delivery: cancel ID; `deliveries` lists them.')
    const path = `/api/deliveries/${encodeURIComponent(id)}/cancel`
    const answer = (await callAdmin(env, 'POST', path)) as { state: string }
    if (values.json) return void print(JSON.stringify(answer))
    print(
      answer.state === 'cancelled'
        ? `Delivery ${id} is cancelled.`
        : `Delivery ${id} is being cancelled: the relay cancels its workflow run on GitHub.`,
    )
  },
})
