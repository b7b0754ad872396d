import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import { sqlite } from '../../relay/store/database.ts'
import { claimQueued } from '../../relay/store/sql/claims.ts'
import { toRow } from '../../relay/store/sql/intake.ts'
import { openSqliteFile } from '../../relay/store/sqlite/file.ts'
import { aDelivery } from './place.ts'

const PUT = 'INSERT INTO rate_limiter VALUES (?1, ?2, 0)'
const ALL = 'SELECT refilled_at AS at FROM rate_limiter WHERE refilled_at > 0 ORDER BY refilled_at'

/* The contract suite tests the rest of the SQLite backend through the store API. */

test('a failing request rolls back only its own changes within a shared commit', () => {
  const file = openSqliteFile(somewhere())
  onTestFinished(() => file.close())
  const { rows } = file.run({
    inserts: [],
    requests: [
      [{ sql: PUT, params: [1, 1] }],
      [
        { sql: PUT, params: [2, 2] },
        { sql: PUT, params: [null, 3] },
      ],
      [{ sql: PUT, params: [null, 4] }],
      [
        { sql: PUT, params: [5, 5] },
        { sql: ALL, params: [] },
      ],
    ],
    claims: false,
  })
  const refused = 'NOT NULL constraint failed: rate_limiter.tokens'
  expect(rows).toEqual([
    [[]],
    refused,
    refused,
    [[], [expect.objectContaining({ at: 1 }), expect.objectContaining({ at: 5 })]],
  ])
})

test('a delivery that cannot be written does not roll back the other deliveries of the commit', () => {
  const file = openSqliteFile(somewhere())
  onTestFinished(() => file.close())
  const whole = rowOf(aDelivery({ id: 'whole' }))
  const broken = rowOf({ ...aDelivery(), invocation: null as unknown as string })
  const batch = { inserts: [whole, broken, whole], requests: [], claims: false }
  expect(file.run(batch).inserted).toEqual([true, 'NOT NULL constraint failed: deliveries.invocation', false])
  const read = { sql: 'SELECT id FROM deliveries', params: [] }
  expect(file.run({ inserts: [], requests: [[read]], claims: false }).rows).toMatchObject([
    [[{ id: 'whole' }]],
  ])
})

test('if the commit fails, every request in the commit fails', () => {
  const path = somewhere()
  const file = openSqliteFile(path)
  onTestFinished(() => file.close())
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  onTestFinished(() => other.close())
  const put = [{ sql: PUT, params: [1, 1] }]
  const inserts = [rowOf(aDelivery())]
  const locked = 'database is locked'
  expect(file.run({ inserts, requests: [put], claims: false })).toEqual({
    inserted: [locked],
    rows: [locked],
    changed: Infinity,
  })
  other.exec('ROLLBACK')
  const read = [{ sql: ALL, params: [] }]
  expect(file.run({ inserts, requests: [put, read], claims: false })).toMatchObject({
    inserted: [true],
    rows: [[[]], [[{ at: 1 }]]],
  })
})

test('a statement with a limit is planned only once', () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare')
  const file = openSqliteFile(somewhere())
  onTestFinished(() => file.close())
  let planned: number[] = []
  // SQLite asks for authorization while it plans a statement.
  const database = prepare.mock.contexts.at(-1) as DatabaseSync
  database.setAuthorizer(action => {
    planned.push(action)
    return constants.SQLITE_OK
  })
  const plan = (limit: number) => {
    planned = []
    const claim = claimQueued(sqlite, { now: 1, until: 2, limit, scope: '' })
    file.run({ inserts: [], requests: [[claim]], claims: false })
    return planned
  }
  expect(plan(1)).toContain(constants.SQLITE_UPDATE)
  expect(plan(2)).toEqual([constants.SQLITE_TRANSACTION, constants.SQLITE_TRANSACTION])
})

function somewhere(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sqlite-file-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'made', 'relay.db')
}

const rowOf = (delivery: NewDelivery) => ({ row: toRow(delivery), use: null })
