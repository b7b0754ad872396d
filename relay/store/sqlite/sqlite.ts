import { statSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { type Backend, createDatabaseClock, type Row, type Statement, sqlite } from '../database.ts'
import { toRow, toUseRow } from '../sql/intake.ts'
import type { Batch, Responses } from './file.ts'

interface Waiting<T> {
  resolve: (response: T) => void
  reject: (error: Error) => void
}

/** A batch, and who waits for its parts, in the same order. */
interface Collected {
  batch: Batch
  inserts: Waiting<boolean>[]
  requests: Waiting<Row[][]>[]
}

/**
 * Deliveries that are read in one turn of the event loop share a commit, up to so many: then the commit begins while the
 * next ones are read. PostgreSQL's do not begin early: they go over several connections, and the order within a turn
 * would be lost.
 */
const ENOUGH_ROWS = 16

/** A batch is forgotten once it is written: by itself, Node would let its garbage grow to ten times as much. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 }

/**
 * Opens the SQLite file in its own thread. Calls that arrive while a commit is on its way to the disk go
 * together into the next one.
 *
 * @throws Error with a sentence naming the path, when the file cannot be opened or another relay holds it
 */
export async function openSqlite(path: string): Promise<Backend> {
  // A size on the command line is for the main thread: in the others it would outweigh their limits.
  setFlagsFromString('--max-semi-space-size=0')
  // Next to this file in the sources, or to the bundle.
  const file = `./sqlite-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
  const thread = new Worker(new URL(file, import.meta.url), { workerData: path, resourceLimits })
  await new Promise<void>((resolve, reject) => {
    thread.once('message', message => (message === 'open' ? resolve() : reject(new Error(message.refused))))
    thread.once('error', reject)
  }).catch(async error => {
    await thread.terminate()
    throw error
  })

  const checkpoints = startCheckpoints(path)
  let collected = nothing()
  let writing: Collected | null = null
  /** How many of the collected requests are claims. */
  let claims = 0
  let scheduled = false
  let ended: Error | null = null

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
    if (writing) return
    if (collected.inserts.length >= ENOUGH_ROWS) return flush()
    if (scheduled) return
    scheduled = true
    setImmediate(flush)
  }
  thread.on('message', ({ inserted, rows }: Responses) => {
    const { batch, inserts, requests } = writing as Collected
    writing = null
    // Claims that find nothing write nothing, as most of an idle relay's.
    if (!batch.claims || rows.some(isResult)) checkpoints.written()
    flush()
    settle(inserts, inserted)
    settle(requests, rows)
  })
  const exited = new Promise<void>(resolve => {
    thread.once('exit', () => {
      ended = new Error(`The database ${path} is closed`)
      for (const { inserts, requests } of [writing ?? nothing(), collected]) {
        for (const { reject } of [...inserts, ...requests]) reject(ended)
      }
      resolve()
    })
  })
  thread.on('error', () => {})

  const run = (statements: Statement[]) =>
    new Promise<Row[][]>((resolve, reject) => {
      if (ended) return reject(ended)
      collected.batch.requests.push(statements)
      collected.requests.push({ resolve, reject })
      schedule()
    })
  return {
    dialect: sqlite,
    clock: createDatabaseClock(),
    // Alone on its file.
    onWork() {},
    run,
    async claim(statement) {
      claims++
      const [rows = []] = await run([statement])
      return rows
    },
    insert(delivery, use) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(ended)
        collected.batch.inserts.push({ row: toRow(delivery), use: use ? toUseRow(use, delivery.id) : null })
        collected.inserts.push({ resolve, reject })
        schedule()
      })
    },
    async close() {
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

/** Whether the rows of a request aren't empty, or are an error. */
const isResult = (rows: Responses['rows'][number]) =>
  typeof rows === 'string' || rows.some(({ length }) => length > 0)

function settle<T>(waiting: Waiting<T>[], responses: (T | string)[]): void {
  for (const [i, { resolve, reject }] of waiting.entries()) {
    const response = responses[i] as T | string
    if (typeof response === 'string') reject(new Error(`SQLite: ${response}`))
    else resolve(response)
  }
}

/**
 * Between two moves. The commit that moves the last of the log lets everybody wait: for 40 ms where the rest was 200 ms.
 * After a slow move, which took the disk from the commits, the rest is four times as long.
 */
const REST_MS = 50
const RESTS = 4
const LONGEST_REST_MS = 1_000

/**
 * Moves what was committed from SQLite's log into the file, next to the commits. A commit that has to do it writes
 * to all the places that run ids are sorted into: with a million deliveries, that took a quarter of the intake.
 */
interface Checkpoints {
  /** Something was committed. */
  written(): void
  close(): Promise<void>
}

function startCheckpoints(path: string): Checkpoints {
  const { ino } = statSync(path)
  let thread: Worker | undefined
  let timer: NodeJS.Timeout | undefined
  let due = false
  let busy = false
  let closed = false
  let rest = REST_MS

  const start = () => {
    // Next to this file in the sources, or to the bundle.
    const file = `./sqlite-checkpoint-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
    const started = new Worker(new URL(file, import.meta.url), {
      workerData: { path, ino },
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    })
    started.on('message', (took: number) => {
      busy = false
      rest = Math.min(Math.max(REST_MS, RESTS * took), LONGEST_REST_MS)
      schedule()
    })
    // Without it, commits move the log themselves once it is long.
    started.on('error', () => {})
    return started
  }
  const schedule = () => {
    if (!due || busy || closed || timer) return
    timer = setTimeout(() => {
      timer = undefined
      due = false
      busy = true
      thread ??= start()
      thread.postMessage('checkpoint')
    }, rest)
  }
  return {
    written() {
      due = true
      schedule()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await thread?.terminate()
    },
  }
}
