import { DatabaseSync } from 'node:sqlite'

/** Opens a one-table queue in the file `BENCH_DATABASE`. Like the relay, it syncs commits and stores each run once. */
export function openQueue() {
  const database = new DatabaseSync(process.env.BENCH_DATABASE ?? '')
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    'CREATE TABLE queue (id INTEGER PRIMARY KEY, run_id TEXT UNIQUE NOT NULL, body TEXT NOT NULL)',
  )
  return { database, insert: database.prepare('INSERT OR IGNORE INTO queue (run_id, body) VALUES (?, ?)') }
}
