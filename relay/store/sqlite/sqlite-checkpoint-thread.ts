import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'

/*
 * The thread that moves commits from SQLite's log into the file. It holds nobody up: it takes what no writer is at, and
 * leaves the rest. https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
 */
const port = parentPort as MessagePort
const database = new DatabaseSync(String(workerData), { timeout: 0 })
database.exec('PRAGMA synchronous = FULL')
port.on('message', () => {
  try {
    database.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    // A disk that is full, or the like: commits are told of it, and stay in the log.
  }
  port.postMessage('done')
})
