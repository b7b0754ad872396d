import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openStore } from '../../relay/store/open.ts'
import { toRow } from '../../relay/store/sql/intake.ts'
import { openSqliteFile } from '../../relay/store/sqlite/file.ts'
import { openSqlite } from '../../relay/store/sqlite/sqlite.ts'
import { until } from '../../simulator/http-server.ts'
import { temporaryFolder } from '../support/relay.ts'
import { aDelivery } from './place.ts'

const PUT = 'INSERT INTO revoked_sessions VALUES (?1, ?2)'
const ALL = 'SELECT expires_at AS at FROM revoked_sessions ORDER BY expires_at'

/* The contract suite tests the rest of the SQLite backend through the store API. */

test('on a full disk, reads succeed next to a write that fails', () => {
  const file = open(somewhere())
  const run = (requests: { sql: string; params: unknown[] }[][]) =>
    file.run({ inserts: [], requests: requests as never, claims: false }).rows
  run([[{ sql: 'PRAGMA max_page_count = 1', params: [] }]])
  const put = { sql: PUT, params: ['x'.repeat(1e6), 1] }
  expect(run([[put], [{ sql: ALL, params: [] }]])).toEqual([
    { failed: 'database or disk is full', code: 13 },
    [[]],
  ])
})

test('a failing request rolls back only its own changes within a shared commit', () => {
  const file = open(somewhere())
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
  const refused = { failed: 'NOT NULL constraint failed: revoked_sessions.id', code: 19 }
  expect(rows).toEqual([
    [[]],
    refused,
    refused,
    [[], [expect.objectContaining({ at: 1 }), expect.objectContaining({ at: 5 })]],
  ])
})

test('while another process has locked the file for writing, writes fail, and reads succeed', () => {
  const path = somewhere()
  const file = open(path)
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  onTestFinished(() => other.close())
  const put = [{ sql: PUT, params: [1, 1] }]
  const inserts = [toRow(aDelivery())]
  const locked = { failed: 'database is locked', code: 5 }
  const read = [{ sql: ALL, params: [] }]
  const expected = { inserted: [locked], rows: [locked, [[]]], changed: Infinity }
  expect(file.run({ inserts, requests: [put, read], claims: false })).toEqual(expected)
  expect(file.run({ inserts: [], requests: [read], claims: false })).toMatchObject({ rows: [[[]]] })
  other.exec('ROLLBACK')
  expect(file.run({ inserts, requests: [put, read], claims: false })).toMatchObject({
    inserted: [true],
    rows: [[[]], [[{ at: 1 }]]],
  })
})

test('only the owner of the files can read them', () => {
  const path = somewhere()
  open(path)
  const modes = ['', '-wal', '-shm', '-owner'].map(end => statSync(path + end).mode & 0o777)
  expect(modes).toEqual(Array(4).fill(0o600))
})

test('a thread with a lower priority moves commits into the file while the store is open; closing leaves no WAL file', async () => {
  const path = somewhere()
  const posted = vi.spyOn(Worker.prototype, 'postMessage')
  onTestFinished(() => posted.mockRestore())
  const store = await openStore({ kind: 'sqlite', path })
  const invocation = JSON.stringify({ inputs: { text: 'x'.repeat(1000) } })
  await Promise.all(Array.from({ length: 1_000 }, () => store.accept(aDelivery({ invocation }))))
  // Commits trigger checkpoints only beyond 256 MB. The last few deliveries can wait for the next checkpoint.
  await until(() => statSync(path).size > 500_000, 'the file has grown')
  await until(() => niceValues().includes('10'), 'the thread has lowered its priority')
  await until(() => posted.mock.calls.some(([message]) => message === 'end checkpoint'), 'it is synced')
  await store.close()
  expect(statSync(path).size).toBeGreaterThan(1_000_000)
  expect(existsSync(`${path}-wal`)).toBe(false)
})

test('a SQLite version that can lose commits is refused', async () => {
  await expect(openSqlite(somewhere(), { version: '3.51.2' })).rejects.toThrow('update Node to 24.15')
  await (await openSqlite(somewhere(), { version: '3.51.10' })).close()
})

test('the end of a checkpoint lets the next commit start the log again', () => {
  const path = somewhere()
  const file = open(path)
  const write = () => file.run({ inserts: [toRow(aDelivery())], requests: [], claims: false })
  // See https://www.sqlite.org/fileformat2.html#walformat
  const starts = () => readFileSync(`${path}-wal`).readUInt32BE(12)
  write()
  const first = starts()
  write()
  expect(starts()).toBe(first)
  file.endCheckpoint()
  write()
  expect(starts()).toBe(first + 1)
})

/** Returns the nice values of this process's threads. @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const niceValues = () =>
  readdirSync('/proc/self/task').map(id => {
    const stat = `/proc/self/task/${id}/stat`
    // A thread can end in the meantime.
    return existsSync(stat) && readFileSync(stat, 'utf8').split(') ')[1]?.split(' ')[16]
  })

const somewhere = () => join(temporaryFolder(), 'made', 'relay.db')

function open(path: string) {
  const file = openSqliteFile(path)
  onTestFinished(() => file.close())
  return file
}
