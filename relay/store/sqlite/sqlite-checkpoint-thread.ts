import { fdatasyncSync, statSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'

/*
 * The thread that runs passive checkpoints. They move most of SQLite's log to the file while commits continue. Once a second, the thread that commits moves the rest, so that its next commit starts the log again. See https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
 *
 * SQLite finds the log by the file's name. If the file is missing or was replaced, for example by a backup, SQLite would delete the log. So in this case, the thread doesn't open the file.
 */
const port = parentPort as MessagePort
const { path, ino, file } = workerData as { path: string; ino: number; file: number }
const location = pathToFileURL(path)
location.searchParams.set('mode', 'rw')
let database: DatabaseSync | undefined
/** The minimum time between two syncs of the file. Commits take longer during a sync, but without it, the end of a checkpoint would delay them more. */
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
        // The log grows during the first, long sync. The second checkpoint leaves little for the thread that commits.
        database.exec('PRAGMA wal_checkpoint(PASSIVE)')
        fdatasyncSync(file)
        syncedAt = began
      }
      // On a busy CPU, checkpoints with a lower priority delay commits less. Only on Linux, this changes a single thread.
      if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
    }
  } catch {
    // Errors are ignored here. Commits also report an error such as a full disk, and the log keeps the data.
  }
  port.postMessage({ took: performance.now() - began, isSynced: syncedAt === began })
})
