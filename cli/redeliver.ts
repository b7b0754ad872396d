import { cleanLine } from '../port/text.ts'
import type { ShownDelivery } from '../relay/admin/api.ts'
import { isBulk } from '../relay/admin/filter.ts'
import { LIMITS } from '../relay/config/limits.ts'
import { REDELIVERABLE } from '../relay/delivery/delivery.ts'
import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import { type Call, choice, defineCommand, flag, JSON_OPTION, text, UsageError } from './command.ts'
import { table } from './deliveries.ts'

type Bulk = { deliveries: (ShownDelivery & { port_run_ended?: boolean | null })[]; more: boolean }

const ENDED = "its run in Port has finished, so Port won't show the new workflow run"

export const redeliver = defineCommand({
  name: 'redeliver',
  summary: 'Queues failed or canceled deliveries again: by ID, or all that match a filter.',
  positionals: ['ID…'],
  options: {
    state: choice('STATE', REDELIVERABLE, 'all deliveries in this state'),
    ...FILTER_OPTIONS,
    limit: text(
      'NUMBER',
      'redeliver only this many of the newest matches; 1000 is the maximum and the default',
    ),
    'dry-run': flag('change nothing, and show what would be redelivered'),
    json: JSON_OPTION,
  },
  details: '`deliveries --state failed` lists deliveries to redeliver. The oldest delivery is queued first.',
  async run(call) {
    const { env, positionals: ids, print } = call
    const { json, 'dry-run': isDry = false, limit, ...filter } = call.values
    const isFiltered = limit !== undefined || Object.keys(filter).length > 0
    if (ids.length > 0 && isFiltered) throw new UsageError('Specify deliveries by ID or filter, not both.')
    if (ids.length > 0) return redeliverNamed(call, isDry, json)
    if (!isFiltered)
      throw new UsageError(
        'Specify deliveries or a filter: redeliver ID…, or redeliver --state failed --since 1h.',
      )
    if (!isBulk(filter))
      throw new UsageError(
        'A filter needs --state failed, --state cancelled, or an --outcome other than succeeded.',
      )
    const { limit: most, ...given } = toFilter({ ...filter, limit }, LIMITS.redeliveredAtOnce)
    const body = { ...given, ...(most && { limit: Number(most) }), dry_run: isDry }
    const response = (await callAdmin(env, 'POST', '/api/redeliver', body)) as Bulk
    if (json) return void print(JSON.stringify(response))
    const { deliveries, more } = response
    const [titles, ...lines] = table(deliveries, call)
    if (deliveries.length > 0) print(titles!)
    for (const [index, { port_run_ended }] of deliveries.entries()) {
      print(lines[index]!)
      if (port_run_ended) print(`  ${ENDED}`)
    }
    const amount = deliveries.length === 1 ? '1 delivery' : `${deliveries.length} deliveries`
    if (deliveries.length === 0) print('No delivery matches.')
    else print(`${amount} ${isDry ? 'would be queued again' : 'queued again'}.`)
    if (more) print('Older deliveries match as well: repeat the command.')
  },
})

/** @returns exit code 1 if a delivery couldn't be redelivered */
async function redeliverNamed({ env, positionals: ids, print, note }: Call, isDry: boolean, json = false) {
  let code = 0
  for (const id of ids) {
    const path = `/api/deliveries/${encodeURIComponent(id)}/redeliver`
    try {
      const before = (await callAdmin(env, 'POST', `${path}?dry_run=true`)) as Bulk['deliveries'][number]
      if (before.port_run_ended) note(`Delivery ${id}: ${ENDED}.`)
      const response = isDry ? before : await callAdmin(env, 'POST', path)
      if (json) print(JSON.stringify(response))
      else print(`Delivery ${id} ${isDry ? 'would be queued' : 'is queued'} again.`)
    } catch (error) {
      if (ids.length === 1) throw error
      const { message } = error as Error
      if (json) print(JSON.stringify({ error: message }))
      else note(cleanLine(message))
      code = 1
    }
  }
  return code
}

export const cancel = defineCommand({
  name: 'cancel',
  summary: 'Cancels a delivery, and its workflow run on GitHub.',
  positionals: ['ID'],
  options: { json: JSON_OPTION },
  details:
    'A canceled delivery in the queue is never dispatched. A running delivery finishes with its workflow run on GitHub.',
  async run({ env, values, positionals: [id], print }) {
    if (!id) throw new UsageError('Specify the delivery: cancel ID. `deliveries` lists the ids.')
    const path = `/api/deliveries/${encodeURIComponent(id)}/cancel`
    const response = (await callAdmin(env, 'POST', path)) as { state: string }
    if (values.json) return void print(JSON.stringify(response))
    const step =
      response.state === 'running'
        ? 'cancels the workflow run on GitHub'
        : 'searches for its workflow run on GitHub, to cancel it'
    const isDone = response.state === 'cancelled'
    print(`Delivery ${id} is ${isDone ? 'canceled' : `being canceled: the relay ${step}`}.`)
  },
})
