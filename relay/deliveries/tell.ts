import { type PortClient, PortError } from '../../port/client.ts'
import { runKind } from '../../port/invocation.ts'
import type { JsonObject } from '../../port/json.ts'
import { logBatches } from '../../port/log-batches.ts'
import type { Report, Telling } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { writeHeld } from './write-held.ts'

export interface TellParts {
  store: Store
  port: PortClient
  clock: () => number
  log: { warn: (fields: object, message: string) => void }
  /** Words that could not be said for so long, and not at the first try, are dropped. */
  giveUpAfter: number
  /** Port limits an organisation: what one delivery is told holds for all. */
  pause?: PortPause
}

/** Until when Port wants this relay to wait, milliseconds since 1970. */
export interface PortPause {
  until: number
}

/** "Waiting for GitHub" said this late may come after the action's own start, and must not undo it. */
const LATE_MS = 3_000
const MAX_WAIT_MS = 60_000
const LONGEST_WAIT_MS = 600_000

/** What takes longer is gone on with under a new lease. */
const SITTING_MS = 20_000
/** A call may take four time-outs of the client: a token, the call, a new token after a 401, the call again. */
const CALL_MS = 60_000
const WRITE_MS = 10_000
/** Outlives the longest sitting: what begins just before its end may take two calls. */
export const TELL_LEASE_MS = SITTING_MS + 2 * CALL_MS + WRITE_MS + 10_000

/** Says what is waiting to be said to Port about a delivery, in order; what Port cannot take now is said later. */
export async function tell(telling: Telling, parts: TellParts): Promise<void> {
  const { store, port, clock, log } = parts
  const run = port.run(telling.runId)
  const pause = parts.pause ?? { until: 0 }
  const startedAt = clock()
  const said: number[] = []
  // What was said and is not written down would be said again.
  const leave = (retryAt: number | null) =>
    writeHeld(telling, () => store.told(telling, said, retryAt), WRITE_MS)
  for (const { seqs, report, createdAt } of gather(telling.reports)) {
    const now = clock()
    if (pause.until > now || now - startedAt > SITTING_MS)
      return void (await leave(Math.max(now, pause.until)))
    try {
      if ('log' in report) await run.log(report.log)
      else if ('entity' in report) await upsert(report.entity)
      else if (!(await isPast(report, createdAt))) await run.update(report.update)
      said.push(...seqs)
    } catch (error) {
      const { kind, message, retryAt } = error instanceof PortError ? error : unexpected(error)
      const lasting = !['later', 'unreachable', 'credentials'].includes(kind)
      if (lasting || (telling.tries > 0 && clock() - createdAt > parts.giveUpAfter)) {
        if (kind !== 'ended')
          log.warn({ delivery: telling.id, run: telling.runId }, `Port was not told: ${message}`)
        said.push(...seqs)
        continue
      }
      log.warn({ delivery: telling.id, run: telling.runId }, `Port will be told later: ${message}`)
      const next = nextTry(clock(), telling.tries, retryAt)
      if (kind === 'later') pause.until = Math.max(pause.until, next)
      return void (await leave(next))
    }
  }
  await leave(null)

  /** An entity that Port will not take is no reason to be silent: whoever reads the run's log should know. */
  async function upsert({ blueprint, properties }: { blueprint: string; properties: JsonObject }) {
    const tied = runKind(telling.runId) === 'action_run' ? telling.runId : null
    try {
      await port.upsertEntity(blueprint, properties, tied)
    } catch (error) {
      if (!(error instanceof PortError) || error.kind !== 'refused') throw error
      const name = `${blueprint} ${JSON.stringify(properties.identifier ?? null)}`
      await run.log([{ level: 'ERROR', message: `The entity ${name} was not written: ${error.message}` }])
    }
  }

  async function isPast(report: Report, createdAt: number): Promise<boolean> {
    if (!('unlessStarted' in report) || !report.unlessStarted || clock() - createdAt < LATE_MS) return false
    const state = await run.read()
    return state.ended || state.externalRunId !== null
  }
}

/** Lines that wait one after the other are said in one request, as many as fit: Port limits requests. */
function gather(reports: Telling['reports']): { seqs: number[]; report: Report; createdAt: number }[] {
  const gathered: { seqs: number[]; report: Report; createdAt: number }[] = []
  for (const { seq, report, createdAt } of reports) {
    const last = gathered.at(-1)
    const lines = last && 'log' in last.report && 'log' in report ? [...last.report.log, ...report.log] : null
    if (last && lines && logBatches(lines).length === 1) {
      last.seqs.push(seq)
      last.report = { log: lines }
    } else gathered.push({ seqs: [seq], report, createdAt })
  }
  return gathered
}

/** When Port asks for it, but neither at once again nor in a year. */
function nextTry(now: number, tries: number, retryAt: number | null): number {
  const soonest = now + Math.min(MAX_WAIT_MS, 1000 * 2 ** tries)
  return Math.ceil(Math.min(now + LONGEST_WAIT_MS, Math.max(soonest, retryAt ?? 0)))
}

function unexpected(error: unknown): Pick<PortError, 'kind' | 'message' | 'retryAt'> {
  return { kind: 'refused', message: (error as Error).message, retryAt: null }
}
