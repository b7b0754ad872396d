import { randomInt } from 'node:crypto'
import { LIMITS } from '../../config/limits.ts'
import type { Change, Delivery, DeliveryRun, Transition } from '../../delivery/delivery.ts'
import { type Backend, columnOf, type Dialect, rowsOf, type Statement, stateIs } from '../database.ts'
import { enqueue } from './outbox.ts'

/** Identifies a report from the action, so that the relay applies the report only once. */
export interface ReportReceipt {
  sender: string
  /** The number of the report. The sender counts its reports from 1. A number up to the sender's last number is a repetition. */
  number: number
  lines: number
  bytes: number
}

/** How many first and how many last history entries the store keeps of a delivery. */
const FIRST_EVENTS = 50
const LAST_EVENTS = LIMITS.events - FIRST_EVENTS

/** The condition of the second and later statements: the first statement has updated the delivery and set this mark. */
const MARKED = 'id = ?1 AND change_id = ?2'
const IS_MARKED = `EXISTS (SELECT 1 FROM deliveries WHERE ${MARKED})`

interface Applied {
  delivery: Pick<Delivery, 'id' | 'version' | 'repository'>
  changeId: number
  transition: Transition
  now: number
  receipt?: ReportReceipt | undefined
  /** The version of the outbox's lease, if only the holder of the lease may apply the transition. */
  lease?: number | undefined
}

/**
 * Returns the statements that apply a transition. The first UPDATE requires the transition's version, and marks the
 * row. The later statements require the mark.
 */
function apply(sql: Dialect, applied: Applied): { statements: Statement[]; decisive: number } {
  const { delivery, changeId, transition, now, receipt } = applied
  const { change, messages, history, requeue } = transition
  const ids = change.runs?.map(run => run.id) ?? []
  const { lockNumber } = sql
  // Runs are locked in a fixed order. Otherwise, transactions with the same runs could deadlock.
  const locks: Statement[] = lockNumber
    ? ids.toSorted((a, b) => a - b).map(id => ({ sql: lockNumber, params: [id] }))
    : []
  // The row is locked before the check for a repetition. Otherwise, an UPDATE that waited for the row would see old
  // data in subqueries.
  if (lockNumber && receipt) {
    locks.push({ sql: 'SELECT 1 FROM deliveries WHERE id = ?1 FOR UPDATE', params: [delivery.id] })
  }
  const mark = [delivery.id, changeId] as const
  return {
    decisive: locks.length,
    statements: [
      ...locks,
      update(sql, applied),
      ...(change.runs ? replaceRuns(mark, delivery.repository, change.runs) : []),
      ...(requeue ? dropMessages(mark) : []),
      ...(history ? addEvent(mark, now, history.type, JSON.stringify(history.details)) : []),
      ...enqueue(mark, messages, now),
      ...(receipt ? [keepReceipt(mark, receipt)] : []),
    ],
  }
}

function update(sql: Dialect, { delivery, changeId, transition, now, receipt, lease }: Applied): Statement {
  const { change, history, requeue, traceAt } = transition
  const params: Statement['params'] = [delivery.id, changeId, delivery.version]
  const parameter = (value: string | number | null) => `?${params.push(value)}`
  const set = ['change_id = ?2']
  const fields = Object.entries(change)
  if (fields.length > 0) {
    set.push('version = version + 1', 'lease_until = 0', `updated_at = ${parameter(now)}`)
  }
  for (const [field, value] of fields) {
    if (field === 'runs') continue
    set.push(`${columnOf(field)} = ${parameter(toColumn(value))}`)
  }
  if (requeue) set.push(`seq = ${sql.nextSeq}`, 'report_lines = 0', 'report_bytes = 0')
  if (history) set.push('events = events + 1')
  if (traceAt !== undefined) set.push(`trace_due_at = ${parameter(traceAt)}`)
  if (receipt) {
    set.push(`report_lines = report_lines + ${parameter(receipt.lines)}`)
    set.push(`report_bytes = report_bytes + ${parameter(receipt.bytes)}`)
  }
  const where = ['id = ?1', 'version = ?3']
  const ids = change.runs?.map(run => run.id) ?? []
  if (ids.length > 0) {
    where.push(`NOT EXISTS (SELECT 1 FROM runs
      WHERE repository = ${parameter(delivery.repository)} AND delivery <> ?1
        AND github_run_id IN (${ids.map(parameter).join(', ')}))`)
  }
  if (lease !== undefined)
    where.push(`EXISTS (SELECT 1 FROM outboxes WHERE delivery = ?1 AND version = ${parameter(lease)})`)
  if (receipt) {
    where.push(`NOT EXISTS (SELECT 1 FROM report_senders
      WHERE delivery = ?1 AND sender = ${parameter(receipt.sender)} AND last >= ${parameter(receipt.number)})`)
  }
  return { sql: `UPDATE deliveries SET ${set.join(', ')} WHERE ${where.join(' AND ')} RETURNING id`, params }
}

function toColumn(value: Change[keyof Change]): string | number | null {
  if (typeof value === 'boolean') return Number(value)
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value ?? null)
}

type Mark = readonly [id: string, changeId: number]

function replaceRuns(mark: Mark, repository: string, runs: readonly DeliveryRun[]): Statement[] {
  return [
    { sql: `DELETE FROM runs WHERE delivery = ?1 AND ${IS_MARKED}`, params: [...mark] },
    ...runs.map(run => ({
      sql: `
        INSERT INTO runs (delivery, repository, github_run_id, attempt, evidence, past, status, conclusion, url, reports_conclusion)
        SELECT id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM deliveries WHERE ${MARKED}`,
      params: [
        ...mark,
        ...[repository, run.id, run.attempt, run.evidence, Number(run.past)],
        ...[run.status, run.conclusion, run.url, Number(run.reportsConclusion ?? false)],
      ],
    })),
  ]
}

function dropMessages(mark: Mark): Statement[] {
  // The outbox worker locks the tables in the same order.
  return ['outboxes', 'outbox', 'report_senders'].map(table => ({
    sql: `DELETE FROM ${table} WHERE delivery = ?1 AND ${IS_MARKED}`,
    params: [...mark],
  }))
}

function addEvent(mark: Mark, now: number, type: string, details: string): Statement[] {
  return [
    {
      sql: `INSERT INTO events (delivery, number, at, type, details)
            SELECT id, events, ?3, ?4, ?5 FROM deliveries WHERE ${MARKED}`,
      params: [...mark, now, type, details],
    },
    {
      sql: `DELETE FROM events WHERE delivery = ?1 AND number > ${FIRST_EVENTS}
              AND number = (SELECT events - ${LAST_EVENTS} FROM deliveries WHERE ${MARKED})`,
      params: [...mark],
    },
  ]
}

function keepReceipt(mark: Mark, { sender, number }: ReportReceipt): Statement {
  return {
    sql: `INSERT INTO report_senders (delivery, sender, last)
          SELECT id, ?3, ?4 FROM deliveries WHERE ${MARKED}
          ON CONFLICT (delivery, sender) DO UPDATE SET last = excluded.last`,
    params: [...mark, sender, number],
  }
}

function workOf({ change, messages, requeue }: Transition) {
  const steps = change.state !== undefined || change.dueAt !== undefined || requeue
  return [
    ...(steps ? (['dispatch', 'watch'] as const) : []),
    ...(messages.length > 0 ? (['outbox'] as const) : []),
  ]
}

export function applying(db: Backend, notify: (...work: ReturnType<typeof workOf>) => void) {
  return {
    /**
     * Applies a transition if the delivery still has the version from which the transition was computed. A repeated
     * report (`receipt`) writes nothing. If no field of the delivery changes, the version stays the same.
     * @param only.lease applies the transition only under this lease of the outbox
     * @returns false if the delivery has another version, if another delivery has one of its runs, or if the lease is lost
     */
    async apply(
      delivery: Applied['delivery'],
      transition: Transition,
      now: number,
      only: Pick<Applied, 'receipt' | 'lease'> = {},
    ): Promise<boolean> {
      const changeId = randomInt(2 ** 47)
      const { statements, decisive } = apply(db.dialect, { delivery, changeId, transition, now, ...only })
      let applied: boolean
      try {
        applied = (await db.run(statements))[decisive]?.length === 1
      } catch (error) {
        // If the response was lost, the transaction may have been committed.
        const sql = 'SELECT 1 FROM deliveries WHERE id = ?1 AND change_id = ?2'
        const rows = await rowsOf(db, sql, delivery.id, changeId).catch(() => [])
        if (rows.length === 0) throw error
        applied = true
      }
      if (applied) notify(...workOf(transition))
      return applied
    },
    /** Makes an open delivery due now. Increments its version, so a worker that already claimed the delivery decides again. */
    async wake(id: string, now: number): Promise<void> {
      const sql = `UPDATE deliveries SET due_at = ?2, version = version + 1, lease_until = 0
                   WHERE id = ?1 AND ${stateIs("'dispatched'", "'running'")} RETURNING id`
      if ((await rowsOf(db, sql, id, now)).length > 0) notify('watch')
    },
    /** Returns how many lines and bytes the delivery's reports have used since it was queued, and the number of the sender's last report. */
    async reportUsage(id: string, sender: string) {
      const sql = `
        SELECT report_lines AS lines, report_bytes AS bytes,
          coalesce((SELECT last FROM report_senders WHERE delivery = ?1 AND sender = ?2), 0) AS "lastNumber"
        FROM deliveries WHERE id = ?1`
      const [usage] = await rowsOf<Record<'lines' | 'bytes' | 'lastNumber', number>>(db, sql, id, sender)
      return usage ?? { lines: 0, bytes: 0, lastNumber: 0 }
    },
  }
}
