import type { RefusedList } from '../../relay/admin/api.ts'
import { NO_PROBLEMS, readStored } from '../../relay/admin/health.ts'
import {
  findProblems,
  type Health,
  type Problem,
  type ProblemType,
  textOf,
} from '../../relay/admin/problems.ts'
import { createRateLimitPauses } from '../../relay/github/rate-limit-pause.ts'
import { openStoreForCommand } from '../../relay/store/open.ts'
import { relayAddress } from '../admin-client.ts'
import { type Check, type Finding, problem, TIMEOUT_MS, warning } from './check.ts'

/** The problems in the database, except an old queue, whose cause other checks report. */
const STORED: ProblemType[] = ['messages_wait', 'queue_stalled', 'no_runner', 'freeze_old', 'frozen']

/** Reports the problems of queues, runners, messages to Port, and freezes that the dashboard's banner shows. */
export const stored: Check = {
  name: 'deliveries',
  async run({ config, clock, failed }) {
    // If the store can't be opened, the database check reports the reason.
    const store = await openStoreForCommand(config.database, 'read').catch(() => null)
    if (!store) return []
    try {
      const read = await readStored(store, createRateLimitPauses(config.github.auth, clock).scope)
      // If the database or GitHub fails, another check has reported the cause of these waits.
      const isDown = failed.some(name => ['database', 'github'].includes(name))
      const causes = {
        ...(isDown && { stalled: [] }),
        ...(failed.includes('port') && { oldestMessage: null }),
      }
      return findings({ ...NO_PROBLEMS, ...read, ...causes }, STORED)
    } finally {
      await store.close()
    }
  },
}

/** Reports the signed webhooks that the running relay has refused in the last hour, if the relay has an admin API. */
export const refusedWebhooks: Check = {
  name: 'webhooks',
  async run({ config, env, fetch, clock }) {
    const token = config.viewToken ?? config.adminToken
    if (token === null) return []
    const read = async (base: string) => {
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      const init = { headers: { authorization: `Bearer ${token}` }, redirect: 'manual', signal } as const
      const body = (await (await fetch(`${base}/api/refused?limit=1`, init)).json()) as Partial<RefusedList>
      return body.last_hour ? { ...body.last_hour, since: Date.parse(body.since ?? '') } : null
    }
    // If no relay responds, the check of the relay reports the reason.
    const refused =
      (await read(relayAddress({ PORT: env.PORT })).catch(() => null)) ??
      (config.publicUrl === null ? null : await read(config.publicUrl).catch(() => null))
    if (!refused) return []
    return findings({ ...NO_PROBLEMS, now: clock(), refused }, ['webhooks_refused'])
  },
}

const findings = (health: Health, types: readonly ProblemType[]): Finding[] =>
  findProblems(health, 'banner')
    .filter(({ type }) => types.includes(type))
    .map(each => {
      const end = isFreeze(each) ? ` To dispatch again, run unfreeze ${each.key}.` : ''
      return (isMinor(each) ? warning : problem)(textOf(each) + end)
    })

const isFreeze = ({ type }: Problem) => type === 'freeze_old' || type === 'frozen'

/** Whether a problem is only a warning: an operator may have intended it, or it causes no alert. */
const isMinor = (each: Problem) => each.only === 'banner' || isFreeze(each)
