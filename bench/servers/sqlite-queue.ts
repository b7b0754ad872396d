import { DatabaseSync } from 'node:sqlite'

/** A queue of one table in the file `BENCH_DATABASE`. Each commit is on disk, and a run is stored once, as in the relay. */
export function openQueue() {
  const database = new DatabaseSync(process.env.BENCH_DATABASE ?? '')
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    'CREATE TABLE queue (id INTEGER PRIMARY KEY, run_id TEXT UNIQUE NOT NULL, body TEXT NOT NULL)',
  )
  return { database, insert: database.prepare('INSERT OR IGNORE INTO queue (run_id, body) VALUES (?, ?)') }
}
