import { Worker } from 'node:worker_threads'
import type { Database, Row, Statement } from '../database.ts'
import { startCheckpoints } from './checkpoints.ts'
import type { Answer, Request } from './file.ts'

type Waiting = { resolve: (rows: Row[][]) => void; reject: (error: Error) => void }

/**
 * Opens the SQLite file in its own thread. Calls that arrive while a commit is on its way to the disk go
 * together into the next one.
 *
 * @throws Error with a sentence naming the path, when the file cannot be opened or another relay holds it
 */
export async function openSqlite(path: string): Promise<Database> {
  // Beside this file in the sources, beside the bundle when bundled.
  const file = `./sqlite-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
  const thread = new Worker(new URL(file, import.meta.url), { workerData: path })
  await new Promise<void>((resolve, reject) => {
    thread.once('message', message => (message === 'open' ? resolve() : reject(new Error(message.refused))))
    thread.once('error', reject)
  }).catch(async error => {
    await thread.terminate()
    throw error
  })

  const checkpoints = startCheckpoints(path)
  const waiting = new Map<number, Waiting>()
  let collected: Request[] = []
  let busy = false
  let scheduled = false
  let nextId = 0
  let ended: Error | null = null

  const flush = () => {
    scheduled = false
    if (busy || collected.length === 0) return
    busy = true
    thread.postMessage(collected)
    collected = []
  }
  thread.on('message', (answers: Answer[]) => {
    busy = false
    checkpoints.written()
    flush()
    for (const answer of answers) {
      const { resolve, reject } = waiting.get(answer.id) as Waiting
      waiting.delete(answer.id)
      if ('rows' in answer) resolve(answer.rows)
      else reject(new Error(`SQLite: ${answer.error}`))
    }
  })
  const exited = new Promise<void>(resolve => {
    thread.once('exit', () => {
      ended = new Error(`The database ${path} is closed`)
      for (const { reject } of waiting.values()) reject(ended)
      waiting.clear()
      resolve()
    })
  })
  thread.on('error', () => {})

  return {
    run(statements: Statement[]) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(ended)
        const id = nextId++
        waiting.set(id, { resolve, reject })
        collected.push({ id, statements })
        // After this turn of the event loop: requests read in one turn share a commit.
        if (!busy && !scheduled) {
          scheduled = true
          setImmediate(flush)
        }
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
