import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'

/*
 * The thread that moves commits from SQLite's log into the file. It delays no commit: it moves pages that no
 * writer uses, and leaves the rest. https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
 */
const port = parentPort as MessagePort
const database = new DatabaseSync(String(workerData), { timeout: 0 })
database.exec('PRAGMA synchronous = FULL')
port.on('message', () => {
  try {
    database.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // The disk is full, or the like: a commit gets the same error; what is committed stays in the log.
  }
  port.postMessage('done')
})
