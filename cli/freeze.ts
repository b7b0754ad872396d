import { cleanLine } from '../port/text.ts'
import type { ShownFreeze } from '../relay/admin/api.ts'
import { readFreeze } from '../relay/admin/freezes.ts'
import { duration } from '../relay/config/values.ts'
import { callAdmin } from './admin-client.ts'
import { defineCommand, flag, JSON_OPTION, text, UsageError } from './command.ts'

const describe = ({ id, repositories, reason, until, deliveries }: ShownFreeze) =>
  cleanLine(`Freeze ${id} of ${repositories} until ${until ?? 'ended'}: ${reason}. Deliveries: ${deliveries}`)

export const freeze = defineCommand({
  name: 'freeze',
  summary: 'Keeps deliveries to matching repositories queued until the freeze ends.',
  positionals: ['GLOB'],
  options: {
    reason: text('TEXT', 'the reason, which Port shows (required)'),
    until: text('TIME', 'when the freeze ends: 4h, or 2099-12-01T08:00Z; `unfreeze` ends it earlier'),
    json: JSON_OPTION,
  },
  async run({ env, values: { json, ...given }, positionals: [repositories], print }) {
    if (!repositories || !given.reason)
      throw new UsageError('Specify repositories and a reason: freeze \'acme/*\' --reason "Migration".')
    const ahead = duration.safeParse(given.until)
    const until = ahead.success ? new Date(Date.now() + ahead.data).toISOString() : given.until
    const body = { repositories, ...given, until }
    try {
      readFreeze(body, Date.now())
    } catch (error) {
      throw new UsageError((error as Error).message.replace(/^(?=reason|until)/, '--'))
    }
    const response = (await callAdmin(env, 'POST', '/api/freezes', body)) as ShownFreeze
    print(json ? JSON.stringify(response) : describe(response))
  },
})

export const unfreeze = defineCommand({
  name: 'unfreeze',
  summary: 'Ends a deploy freeze. The relay dispatches the frozen deliveries in order.',
  positionals: ['ID'],
  options: { discard: flag('cancel the frozen deliveries instead of dispatching them'), json: JSON_OPTION },
  async run({ env, values: { discard = false, json }, positionals: [id], print }) {
    if (!id) throw new UsageError('Specify the freeze: unfreeze ID. `freezes` lists the ids.')
    const path = `/api/freezes/${encodeURIComponent(id)}?discard=${discard}`
    const response = await callAdmin(env, 'DELETE', path)
    const what = discard ? 'are canceled' : 'are dispatched in order'
    print(json ? JSON.stringify(response) : `Freeze ${id} has ended. Its deliveries ${what}.`)
  },
})

export const freezes = defineCommand({
  name: 'freezes',
  summary: 'Lists the active deploy freezes.',
  options: { json: JSON_OPTION },
  async run({ env, values, print }) {
    const response = (await callAdmin(env, 'GET', '/api/freezes')) as { freezes: ShownFreeze[] }
    if (values.json) return void print(JSON.stringify(response))
    for (const each of response.freezes) print(describe(each))
    if (response.freezes.length === 0) print('No freeze is active.')
  },
})
