import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'

/*
 * The thread that moves commits from SQLite's log into the file. It delays no commit: it moves pages that no
 * writer uses, and leaves the rest. https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
 *
 * The log is next to the file, by its name. If the name is missing or that of another file, such as a backup
 * that was put in its place, the log must be left alone: SQLite would delete it next to a new file.
 */
const port = parentPort as MessagePort
const { path, ino } = workerData as { path: string; ino: number }
const location = pathToFileURL(path)
location.searchParams.set('mode', 'rw')
let database: DatabaseSync | undefined

port.on('message', () => {
  const began = performance.now()
  try {
    if (statSync(path).ino === ino) {
      database ??= new DatabaseSync(location, { timeout: 0 })
      database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(PASSIVE)')
    }
  } catch {
    // The file was moved away, the disk is full, or the like: a commit gets the same error; what is committed stays in the log.
  }
  port.postMessage(performance.now() - began)
})
