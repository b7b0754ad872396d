import { fdatasyncSync, statSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'

/*
 * The thread that runs passive checkpoints, which move most of SQLite's log to the file while commits continue. About
 * once a second, the thread that commits moves the rest. Its next commit then starts the log again. See
 * https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
 *
 * The thread doesn't open the file if it is missing or was replaced, for example by a backup: SQLite finds the log by
 * the file's name, and would delete it.
 */
const port = parentPort as MessagePort
const { path, ino, file } = workerData as { path: string; ino: number; file: number }
const location = pathToFileURL(path)
location.searchParams.set('mode', 'rw')
let database: DatabaseSync | undefined
/** The minimum time between two syncs of the file. A sync slows down commits. But without syncs, the end of a checkpoint would delay commits even more. */
const SYNC_MS = 1_000
let syncedAt = Number.NEGATIVE_INFINITY

port.on('message', () => {
  const began = performance.now()
  try {
    if (statSync(path).ino === ino) {
      database ??= new DatabaseSync(location, { timeout: 0 })
      database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(PASSIVE)')
      if (began - syncedAt >= SYNC_MS) {
        fdatasyncSync(file)
        // The log grows during the first sync, which is long. After a second checkpoint, little is left for the thread that commits.
        database.exec('PRAGMA wal_checkpoint(PASSIVE)')
        fdatasyncSync(file)
        syncedAt = began
      }
      // On a busy CPU, checkpoints with a lower priority delay commits less. On systems other than Linux, the
      // call would change the priority of the whole process.
      if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
    }
  } catch {
    // The log still has the data. Errors such as a full disk also appear in commits, which report them.
  }
  port.postMessage({ took: performance.now() - began, isSynced: syncedAt === began })
})
