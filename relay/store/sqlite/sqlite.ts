import { closeSync, openSync, statSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { type Backend, type Row, type Statement, sqlite } from '../database.ts'
import { DatabaseError, type Failure, isFailure } from '../failures.ts'
import type { Upgrader } from '../migrations.ts'
import { toRow } from '../sql/intake.ts'
import type { Batch, Responses } from './file.ts'

type Waiting<T> = { resolve: (response: T) => void; reject: (error: Error) => void }

type Collected = { batch: Batch; inserts: Waiting<boolean>[]; requests: Waiting<Row[][]>[] }

/** Limits the memory for short-lived objects such as batches. Node's default is ten times as much. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 }

/**
 * Opens the file in a separate thread. Combines calls that arrive during a commit into the next commit.
 * @throws Error with the path if the file can't be opened or another relay has locked it; also if SQLite is too old
 */
export async function openSqlite(
  path: string,
  { upgrader = {}, version = process.versions.sqlite ?? '' }: { upgrader?: Upgrader; version?: string } = {},
): Promise<Backend> {
  // Older versions can lose commits. See https://www.sqlite.org/wal.html#walresetbug
  if (version.localeCompare('3.51.3', 'en', { numeric: true }) < 0)
    throw new Error(`SQLite ${version} can lose data: update Node to 24.15, or use PostgreSQL.`)
  // The command line can set a semi-space size, which would override the limits of the new thread.
  setFlagsFromString('--max-semi-space-size=0')
  // The thread's file is next to this source file or next to the bundle.
  const file = `./sqlite-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
  const thread = new Worker(new URL(file, import.meta.url), {
    ...{ workerData: { path, upgrader }, resourceLimits },
  })
  await new Promise<void>((resolve, reject) => {
    thread.once('message', message => (message === 'open' ? resolve() : reject(new Error(message.refused))))
    thread.once('error', reject)
  }).catch(async error => {
    await thread.terminate()
    throw error
  })
  // Without the thread, the relay can't accept anything. So the process ends, and its supervisor starts it again.
  thread.removeAllListeners('error')
  let closing = false

  const checkpoints = startCheckpoints(path, () => thread.postMessage('end checkpoint'))
  let collected = nothing()
  let writing: Collected | null = null
  let claims = 0
  let scheduled = false
  let ended: Error | null = null
  let onInsert = () => {}

  const flush = () => {
    scheduled = false
    if (writing || collected.inserts.length + collected.requests.length === 0) return
    collected.batch.claims = claims === collected.requests.length && collected.inserts.length === 0
    claims = 0
    writing = collected
    collected = nothing()
    thread.postMessage(writing.batch)
  }
  const schedule = () => {
    if (writing || scheduled) return
    scheduled = true
    // Calls in the rest of this event loop turn share the commit.
    setImmediate(flush)
  }
  thread.on('message', ({ inserted, rows, changed }: Responses) => {
    const { inserts, requests } = writing as Collected
    writing = null
    checkpoints.written(changed)
    flush()
    settle(requests, rows)
    // Causes another claim, because the batch's claim doesn't find deliveries that were received after the claim's time.
    if (requests.length > 0 && inserts.length > 1) onInsert()
    // The responses wait for two event loop turns, so that an idle relay sends the dispatch before it responds to the
    // webhook. One turn isn't enough, because `fetch` waits for a turn before it reuses an open connection.
    setImmediate(setImmediate, () => settle(inserts, inserted))
  })
  const exited = new Promise<void>(resolve => {
    thread.once('exit', code => {
      if (!closing)
        throw new Error(`The thread of the database ${path} ended unexpectedly (exit code ${code})`)
      ended = new DatabaseError(`The database ${path} is closed`)
      checkpoints.closeFile()
      for (const { inserts, requests } of [writing ?? nothing(), collected]) {
        for (const { reject } of [...inserts, ...requests]) reject(ended)
      }
      resolve()
    })
  })

  const run = (statements: Statement[]) =>
    new Promise<Row[][]>((resolve, reject) => {
      if (ended) return reject(ended)
      collected.batch.requests.push(statements)
      collected.requests.push({ resolve, reject })
      schedule()
    })
  return {
    dialect: sqlite,
    clock: { now: Date.now },
    onWork(listener) {
      onInsert = listener
    },
    run,
    async claim(statement, attempts) {
      if (!attempts) claims++
      const rows = run([statement])
      // The store's thread can write while the main thread prepares the response.
      if (!attempts) flush()
      return (await rows)[0] ?? []
    },
    insert(delivery) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(ended)
        collected.batch.inserts.push(toRow(delivery))
        // A claim in the same batch finds these deliveries, so their dispatch doesn't need another commit.
        if (collected.inserts.push({ resolve, reject }) === 1) onInsert()
        schedule()
      })
    },
    async close() {
      closing = true
      flush()
      await checkpoints.close()
      if (!ended) thread.postMessage('close')
      await exited
    },
  }
}

const nothing = (): Collected => ({
  batch: { inserts: [], requests: [], claims: false },
  inserts: [],
  requests: [],
})

function settle<T>(waiting: Waiting<T>[], responses: (T | Failure)[]): void {
  for (const [i, { resolve, reject }] of waiting.entries()) {
    const response = responses[i] as T | Failure
    if (isFailure(response)) reject(new DatabaseError(`SQLite: ${response.failed}`, { cause: response }))
    else resolve(response)
  }
}

/**
 * The minimum pause between two checkpoints. A longer pause makes the next checkpoint longer, and a long checkpoint
 * delays commits. But a slow checkpoint competes with commits for the disk, so it is followed by a pause of the same
 * length.
 */
const REST_MS = 20
const LONGEST_REST_MS = 1_000
/** The number of changed rows that makes a checkpoint due. Checkpoints aren't free: the first commit after each one needs a second sync. */
const ENOUGH_CHANGES = 250

/** Runs checkpoints in a separate thread. If commits ran them, intake would be a quarter slower with a million deliveries. */
function startCheckpoints(path: string, endCheckpoint: () => void) {
  const { ino } = statSync(path)
  // The file is closed after the database, because closing a file releases all of the process's locks on it.
  const file = openSync(path, 'r')
  let thread: Worker | undefined
  let timer: NodeJS.Timeout | undefined
  let changes = 0
  let busy = false
  let closed = false
  let rest = REST_MS

  const start = () => {
    const source = `./sqlite-checkpoint-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
    const started = new Worker(new URL(source, import.meta.url), {
      workerData: { path, ino, file },
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    })
    started.on('message', ({ took, isSynced }: { took: number; isSynced: boolean }) => {
      busy = false
      if (isSynced) endCheckpoint()
      rest = Math.min(Math.max(REST_MS, took), LONGEST_REST_MS)
      schedule()
    })
    // Errors are ignored: without this thread, a commit runs a checkpoint when the log is too long.
    started.on('error', () => {})
    return started
  }
  const schedule = () => {
    if (changes < ENOUGH_CHANGES || busy || closed || timer) return
    timer = setTimeout(() => {
      timer = undefined
      changes = 0
      busy = true
      thread ??= start()
      thread.postMessage('checkpoint')
    }, rest)
  }
  return {
    written(changed: number) {
      changes += changed
      schedule()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await thread?.terminate()
    },
    closeFile: () => closeSync(file),
  }
}
