import { callAdmin } from './admin-client.ts'
import { defineCommand, JSON_OPTION, UsageError } from './command.ts'

export const redeliver = defineCommand({
  name: 'redeliver',
  summary: 'Queues a failed delivery again.',
  positionals: ['ID'],
  options: { json: JSON_OPTION },
  details: '`deliveries --state failed` lists those that can be redelivered.',
  async run({ env, values, positionals: [id], print }) {
    if (!id) throw new UsageError('Name the delivery: redeliver ID; `deliveries --state failed` lists them.')
    const answer = await callAdmin(env, 'POST', `/api/deliveries/${encodeURIComponent(id)}/redeliver`)
    print(values.json ? JSON.stringify(answer) : `Delivery ${id} is queued again.`)
  },
})
