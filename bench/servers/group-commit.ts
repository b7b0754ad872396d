import { listen, receiveWith } from './listen.ts'
import { openQueue } from './sqlite-queue.ts'

// The practical maximum: all webhooks of an event loop turn share a commit on the main thread.
const { database, insert } = openQueue()
let waiting: { runId: string; body: string; resolve: () => void }[] = []

function commit() {
  const batch = waiting
  waiting = []
  database.exec('BEGIN IMMEDIATE')
  for (const { runId, body } of batch) insert.run(runId, body)
  database.exec('COMMIT')
  for (const { resolve } of batch) resolve()
}

listen(
  receiveWith(
    (runId, body) =>
      new Promise<void>(resolve => {
        if (waiting.length === 0) setImmediate(commit)
        waiting.push({ runId, body, resolve })
      }),
  ),
)
