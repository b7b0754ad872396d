import { type PortClient, PortError } from '../../port/client/port-client.ts'
import { runKind } from '../../port/invocation/run-kind.ts'
import type { JsonObject } from '../../port/types.ts'
import type { Report, Telling } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { gather } from './gather.ts'
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
/** After so long, words that Port does not take while it takes others are left out: the run's end waits for them. */
const STUCK_MS = 900_000
const MAX_WAIT_MS = 60_000
const LONGEST_WAIT_MS = 600_000

/** What takes longer is gone on with under a new lease. */
const SITTING_MS = 20_000
/** A call may take four time-outs of the client: a token, the call, a new token after a 401, the call again. */
const CALL_MS = 60_000
const WRITE_MS = 10_000
/** Outlives the longest sitting: what begins just before its end may take two calls. */
export const TELL_LEASE_MS = SITTING_MS + 2 * CALL_MS + WRITE_MS + 10_000

type Trouble = Pick<PortError, 'kind' | 'message' | 'retryAt' | 'status'>

/** Says what is waiting to be said to Port about a delivery, in order; what Port cannot take now is said later. */
export async function tell(telling: Telling, parts: TellParts): Promise<void> {
  const { store, port, clock, log } = parts
  const run = port.run(telling.runId)
  const pause = parts.pause ?? { until: 0 }
  const startedAt = clock()
  const isLate = () => clock() - startedAt > SITTING_MS
  const said: number[] = []
  const { id: delivery, runId, repository } = telling
  const warn = (message: string) => log.warn({ delivery, run: runId, repository }, message)
  // What was said and is not written down would be said again.
  const leave = (retryAt: number | null) =>
    writeHeld(telling, () => store.told(telling, said, retryAt), WRITE_MS)
  const queue = gather(telling.reports, telling.tries > 0)
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { words, report, createdAt, tried } = next
    const now = clock()
    if (pause.until > now || isLate()) return void (await leave(Math.max(now, pause.until)))
    try {
      await say(report, createdAt)
    } catch (error) {
      const trouble: Trouble = error instanceof PortError ? error : unexpected(error)
      const { kind, message } = trouble
      const age = clock() - createdAt
      const stuck = tried && age > STUCK_MS && isOfWords(trouble)
      if (stuck && words.length > 1) {
        queue.unshift(...words.map(word => ({ ...word, words: [word], tried })))
        continue
      }
      const lasting = !mayPass(trouble) || (telling.tries > 0 && age > parts.giveUpAfter)
      if (!lasting && !(stuck && (await insist(report, createdAt, trouble)))) {
        warn(`Port will be told later: ${message}`)
        const at = nextTry(clock(), telling.tries, trouble.retryAt)
        if (kind === 'later') pause.until = Math.max(pause.until, at)
        return void (await leave(at))
      }
      if (lasting && kind !== 'ended') warn(`Port was not told: ${message}`)
    }
    said.push(...words.map(({ seq }) => seq))
  }
  await leave(null)

  async function say(report: Report, createdAt: number): Promise<void> {
    if ('log' in report) await run.log(report.log)
    else if ('entity' in report) await upsert(report.entity)
    else if (!(await isPast(report, createdAt))) await run.update(report.update)
  }

  /**
   * Words that Port has not taken for long are tried once more when it takes others, and are left out where that
   * is in vain; of the end, all but the conclusion is.
   *
   * @returns whether they are done with
   */
  async function insist(report: Report, createdAt: number, { status, message }: Trouble): Promise<boolean> {
    if (isLate()) return false
    const conclusion = 'update' in report ? report.update.conclusion : undefined
    try {
      if (conclusion === undefined) await run.log([{ level: 'WARN', message: missing(report, status) }])
      if (isLate()) return false
      const still = await sayAgain(report, createdAt)
      if (still === null) return true
      if (conclusion !== undefined) await run.update({ conclusion })
      else warn(`Port was not told: ${still}`)
    } catch {
      return false
    }
    if (conclusion !== undefined)
      warn(`Port was told of the end, but no more than the conclusion: ${message}`)
    return true
  }

  /** @returns why these words are not taken; null where they were. @throws where it may not be for the words */
  async function sayAgain(report: Report, createdAt: number): Promise<string | null> {
    try {
      await say(report, createdAt)
      return null
    } catch (error) {
      if (!(error instanceof PortError) || !isOfWords(error)) throw error
      return error.message
    }
  }

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
    // Of a node run it is not known, and the dispatch is no news by then.
    return state.ended || state.externalRunId !== null || state.status === 'unknown'
  }
}

/** Whether Port may take it later: by a 403, once the permission is given. */
const mayPass = ({ kind, status }: Trouble): boolean =>
  ['later', 'unreachable', 'credentials'].includes(kind) || (kind === 'refused' && status === 403)

/** Whether it may be these words alone that Port, or a firewall on the way, does not take. */
const isOfWords = ({ kind, status }: Trouble): boolean =>
  status !== null && (kind === 'unreachable' || kind === 'refused')

/** Says nothing of what was not taken, which may be why. */
function missing(report: Report, status: number | null): string {
  const lines = 'log' in report ? report.log.length : 0
  const what = 'entity' in report ? 'an entity' : 'a status label or a link'
  return `… ${lines > 0 ? `${lines} line${lines > 1 ? 's' : ''}` : what} may be missing here: Port keeps answering ${status}.`
}

/** When Port asks for it, but neither at once again nor in a year. */
function nextTry(now: number, tries: number, retryAt: number | null): number {
  const soonest = now + Math.min(MAX_WAIT_MS, 1000 * 2 ** tries)
  return Math.ceil(Math.min(now + LONGEST_WAIT_MS, Math.max(soonest, retryAt ?? 0)))
}

function unexpected(error: unknown): Trouble {
  return { kind: 'refused', message: (error as Error).message, retryAt: null, status: null }
}
