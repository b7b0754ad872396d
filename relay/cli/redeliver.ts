import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import { defineCommand, type Env, JSON_OPTION, UsageError } from './command.ts'
import { type Shown, table } from './deliveries.ts'

type Bulk = {
  deliveries: (Shown & { port_run_ended?: boolean | null })[]
  more: boolean
}

const ENDED = 'its run in Port has finished, so Port will not show the new workflow run'

export const redeliver = defineCommand({
  name: 'redeliver',
  summary: 'Queues failed or canceled deliveries again: by ID, or all that match a filter.',
  positionals: ['ID…'],
  options: {
    state: { type: 'string', value: 'STATE', help: 'all deliveries in this state: failed or cancelled' },
    ...FILTER_OPTIONS,
    limit: { type: 'string', value: 'NUMBER', help: 'only this many of the newest matches; at most 1000' },
    'dry-run': { type: 'boolean', help: 'change nothing, and show what would be redelivered' },
    json: JSON_OPTION,
  },
  details: '`deliveries --state failed` lists deliveries to redeliver. The oldest is queued first.',
  async run({
    env,
    values: { json, 'dry-run': isDry = false, ...filter },
    positionals: ids,
    print,
    note,
    color,
  }) {
    const isFiltered = Object.keys(filter).length > 0
    if (ids.length > 0 && isFiltered) throw new UsageError('Specify deliveries by ID or filter, not both.')
    if (ids.length > 0) return redeliverNamed(env, ids, { isDry, json, print, note })
    if (!isFiltered)
      throw new UsageError(
        'Specify deliveries or a filter: redeliver ID…, or redeliver --state failed --since 1h.',
      )
    if (filter.state === undefined && filter.outcome === undefined)
      throw new UsageError('A filter needs --state failed, --state cancelled, or --outcome OUTCOME.')
    const { limit, ...rest } = filter
    const body = { ...toFilter(rest), ...(limit && { limit: Number(limit) }), dry_run: isDry }
    const response = (await callAdmin(env, 'POST', '/api/redeliver', body)) as Bulk
    if (json) return void print(JSON.stringify(response))
    if (response.deliveries.length > 0) {
      const [titles, ...lines] = table(response.deliveries, color)
      print(titles!)
      for (const [index, { port_run_ended }] of response.deliveries.entries()) {
        print(lines[index]!)
        if (port_run_ended) print(`  ${ENDED}`)
      }
    }
    print(summary(response, isDry))
    if (response.more) print('Older deliveries match as well: repeat the command.')
  },
})

function summary({ deliveries }: Bulk, isDry: boolean): string {
  if (deliveries.length === 0) return 'No delivery matches.'
  const amount = deliveries.length === 1 ? '1 delivery' : `${deliveries.length} deliveries`
  return isDry ? `${amount} would be queued again.` : `${amount} queued again.`
}

/** @returns exit code 1 if a delivery couldn't be redelivered */
async function redeliverNamed(
  env: Env,
  ids: string[],
  {
    isDry,
    json,
    print,
    note,
  }: {
    isDry: boolean
    json?: boolean | undefined
    print: (line: string) => void
    note: (line: string) => void
  },
): Promise<number> {
  let code = 0
  for (const id of ids) {
    const path = `/api/deliveries/${encodeURIComponent(id)}/redeliver`
    try {
      const before = (await callAdmin(env, 'POST', `${path}?dry_run=true`)) as {
        port_run_ended: boolean | null
      }
      if (before.port_run_ended) note(`Delivery ${id}: ${ENDED}.`)
      const response = isDry ? before : await callAdmin(env, 'POST', path)
      print(
        json ? JSON.stringify(response) : `Delivery ${id} ${isDry ? 'would be queued' : 'is queued'} again.`,
      )
    } catch (error) {
      if (ids.length === 1) throw error
      note((error as Error).message)
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
    'If the delivery is queued, it is never dispatched. If it is running, it finishes when its workflow run has finished.',
  async run({ env, values, positionals: [id], print }) {
    if (!id) throw new UsageError('Specify the delivery: cancel ID. `deliveries` lists the ids.')
    const path = `/api/deliveries/${encodeURIComponent(id)}/cancel`
    const response = (await callAdmin(env, 'POST', path)) as { state: string }
    if (values.json) return void print(JSON.stringify(response))
    print(
      response.state === 'cancelled'
        ? `Delivery ${id} is canceled.`
        : `Delivery ${id} is being canceled: the relay ${response.state === 'running' ? 'cancels the workflow run on GitHub' : 'searches for its workflow run on GitHub, to cancel it'}.`,
    )
  },
})
