import { type PortClient, PortError, type PortRun } from '../../port/client/client.ts'
import { UNREAD } from '../../port/client/run-bodies.ts'
import { type Invocation, type JsonObject, type RunState, runKind } from '../../port/types.ts'
import type { Delivery, EntityMessage, Listed, Message, Rejected } from '../delivery/delivery.ts'
import { type Event, type Policy, timeoutEnd } from '../delivery/events.ts'
import type { PortFailure } from '../delivery/outbox-policy.ts'
import {
  coalesce,
  describeFailure,
  explainFailure,
  nextAttempt,
  nextStep,
  settledOf,
} from '../delivery/outbox-policy.ts'
import { failIfRejected } from '../delivery/rejected.ts'
import type { ThrottledLog } from '../log.ts'
import type { OutboxPage, Store } from '../store/store.ts'
import { keepTrying } from './apply.ts'

/** The state that the relay assumes if a delivery has no Port run, or if the relay can't read the Port run. */
export const NO_PORT_RUN: RunState = { ...UNREAD, status: 'in_progress' }

export type PortAccess = ReturnType<typeof createPortAccess>

/** Creates the access to the runs in Port. @param client null if PORT_CLIENT_ID isn't set */
export function createPortAccess(client: PortClient | null, store: Pick<Store, 'invocation'>) {
  const canReport = ({ runId, kind }: Pick<Delivery, 'runId' | 'kind'>) =>
    runId !== null && kind !== 'none' && client !== null
  const workflowRunOf = async ({ id, kind }: Listed) =>
    kind === 'node_run'
      ? (JSON.parse((await store.invocation(id)) ?? '{}') as Invocation).workflowRunId
      : undefined
  return {
    canReport,
    client,
    pausedUntil: () => client?.pausedUntil() ?? 0,
    /** Reads the delivery's run in Port. Returns `unread` if Port doesn't respond, or is rate limiting the relay. */
    async read(delivery: Listed): Promise<RunState | 'unread'> {
      const { runId } = delivery
      if (!client || runId === null || !canReport(delivery)) return NO_PORT_RUN
      try {
        return await client.run(runId, await workflowRunOf(delivery)).read()
      } catch (error) {
        if (error instanceof PortError && error.kind === 'unknown_run') return NO_PORT_RUN
        // A retry wouldn't help. The result must be sent to Port even if the run can't be read.
        if (error instanceof PortError && error.kind === 'refused') return UNREAD
        return 'unread'
      }
    },
  }
}

export interface OutboxDeps {
  store: Pick<Store, 'settleOutbox' | 'clock'>
  client: PortClient | null
  log: { warn: (fields: object, message: string) => void }
  throttled: Pick<ThrottledLog, 'warn'>
  traced?: boolean
  policy: () => Pick<Policy, 'timeoutsFrom'>
  /** Records that Port rejected a required entity, if the page's lease is still valid. */
  reject: (page: OutboxPage, rejected: Omit<Event<'entityRejected'>, 'type'>) => Promise<void>
  /** The longest time that a message can wait, in milliseconds. */
  retention: number
}

const nameOf = ({ blueprint, properties }: EntityMessage) =>
  `${blueprint} ${JSON.stringify(properties.identifier ?? null)}`

/** The time limit for a page. The next claim sends the messages that remain. */
const WORK_MS = 10_000
/** The longest time for a call to Port: 10 s each for a token, the call, a new token after a 401, and the second call. */
const CALL_MS = 40_000
/** How long the relay tries to record a rejected entity, and then to settle the page. */
export const SETTLE_MS = 3_000
export const OUTBOX_LEASE_MS = WORK_MS + CALL_MS + 2 * SETTLE_MS + 2_000
export const PORT_TIMEOUT_MS = CALL_MS / 4
/** The maximum number of times that batches of a page are split. After that, a rejected batch is replaced as a whole. */
const MAX_SEARCHES = 100
/** If a label is older than this, the relay reads the run before it sends the label, because the action may have set a newer label. */
const LATE_MS = 3_000

/** Sends a page of messages to Port in order. Stops at a message that must be retried. */
export async function sendPage(page: OutboxPage, deps: OutboxDeps, stopping: AbortSignal): Promise<void> {
  const { store, client, log, retention } = deps
  const { delivery, runId, repository } = page
  const pausedUntil = () => client?.pausedUntil() ?? 0
  let retryAt: number | null = null
  let reason: string | null = null
  const about = { delivery, run: runId, repository }
  const outputs = page.outputs === '' ? {} : { output: JSON.parse(page.outputs) as JsonObject }
  const began = store.clock()

  const isCurrent = ({ attempt }: Pick<Rejected, 'attempt'>) => attempt === page.attempt
  let rejected = page.rejected && isCurrent(page.rejected) ? page.rejected : null

  /** The entity that Port rejected when the latest message was sent; null if it rejected none. */
  let refused: EntityMessage | null = null

  const batches = coalesce(page.messages)
  let searches = 0
  for (let [batch] = batches; batch; [batch] = batches) {
    const { createdAt } = batch
    const message: Message =
      'update' in batch.message
        ? { ...batch.message, update: failIfRejected(batch.message.update, rejected) }
        : batch.message
    const now = store.clock()
    if (now - began > WORK_MS || stopping.aborted || pausedUntil() > now) break
    const failure = await attempt(message, createdAt)
    if (refused) await noteRejected(refused)
    const age = store.clock() - timeoutEnd(createdAt, 0, deps.policy())
    const step = nextStep({ ...batch, message }, failure, {
      age,
      retention,
      maySplit: searches < MAX_SEARCHES,
    })
    if (step.do === 'split') {
      searches++
      batches.splice(0, 1, ...step.halves)
      continue
    }
    const isReplaced = step.do === 'replace' && (await attempt(step.by, createdAt, {})) === null
    if (isReplaced && 'entity' in message) await noteRejected(message.entity)
    const outcome = step.do === 'replace' ? (isReplaced ? 'done' : step.otherwise) : step.do
    if (failure && outcome === 'retry') {
      reason = explainFailure(failure)
      retryAt =
        failure.kind === 'later' ? pausedUntil() : nextAttempt(store.clock(), page.attempts, failure.retryAt)
      // If Port is unreachable, one log line reports the outage for all requests together.
      if (failure.kind !== 'unreachable' || failure.status !== null)
        deps.throttled.warn({ ...about, ...describeFailure(failure) }, 'messages to Port are retried')
      break
    }
    if (failure && failure.kind !== 'finished') {
      const what = isReplaced ? 'replaced' : 'dropped'
      log.warn({ ...about, ...describeFailure(failure) }, `a message to Port was ${what}`)
    }
    batches.shift()
  }
  // The write is retried, because without it, messages that Port has accepted would be sent again.
  const sent = { ...settledOf(page.messages, batches), reason, ...(deps.traced && { traced: true }) }
  const now = store.clock()
  const settleAt = retryAt ?? (pausedUntil() > now ? pausedUntil() : null)
  await keepTrying(() => store.settleOutbox(page, sent, settleAt, now), SETTLE_MS)

  /** Sends a message. Returns null if Port accepted it. A replacement is sent without `more`, because the outputs may have caused the failure. */
  async function attempt(message: Message, createdAt: number, more = outputs): Promise<PortFailure | null> {
    if (!client) {
      const message = "PORT_CLIENT_ID isn't set."
      return { kind: 'credentials', status: null, retryAt: null, message }
    }
    try {
      const run = client.run(runId)
      if ('log' in message) await run.log(message.log)
      else if ('entity' in message) await writeEntity(client, run, message.entity)
      else if (!(await isPast(run, message, createdAt))) await run.update({ ...message.update, ...more })
      return null
    } catch (error) {
      if (error instanceof PortError) return error
      return { kind: 'refused', status: 400, retryAt: null, message: (error as Error).message }
    }
  }

  /** Writes or deletes an entity. If Port rejects the entity, adds a line to the run's log. */
  async function writeEntity(port: PortClient, run: PortRun, entity: EntityMessage) {
    const { blueprint, properties, operation } = entity
    const isDelete = operation === 'delete'
    try {
      if (isDelete) await port.deleteEntity(blueprint, String(properties.identifier))
      else await port.upsertEntity(blueprint, properties, runKind(runId) === 'action_run' ? runId : null)
    } catch (error) {
      if (!(error instanceof PortError) || error.kind !== 'refused') throw error
      const name = nameOf(entity)
      const isGone = isDelete && error.status === 404
      const why = isGone ? "it doesn't exist in Port." : error.message
      const message = `The entity ${name} wasn't ${isDelete ? 'deleted' : 'written'}: ${why}`
      await run.log([{ level: isGone ? 'INFO' : 'ERROR', message }])
      if (!isGone) refused = entity
    }
  }

  /** If the current attempt requires the entity, the attempt's success becomes a failure. */
  async function noteRejected(entity: EntityMessage): Promise<void> {
    refused = null
    const { required, attempt: of = 0, blueprint } = entity
    if (!required || !isCurrent({ attempt: of })) return
    rejected ??= { attempt: of, entity: nameOf(entity) }
    await deps.reject(page, { ...rejected, blueprint })
  }

  /** Whether the action has reported since the message was written. */
  async function isPast(
    run: PortRun,
    message: { unlessStarted?: boolean },
    createdAt: number,
  ): Promise<boolean> {
    if (!message.unlessStarted) return false
    if (page.reported) return true
    if (store.clock() - createdAt < LATE_MS) return false
    // Port shows no external run ID for node runs, so the label about the dispatch counts as outdated.
    if (run.kind === 'node_run') return true
    const state = await run.read()
    return state.finished || state.externalRunId !== null || state.status === 'unknown'
  }
}
