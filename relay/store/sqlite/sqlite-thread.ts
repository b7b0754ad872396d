import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Upgrader } from '../migrations.ts'
import { type Batch, openSqliteFile } from './file.ts'

/*
 * The thread that owns the SQLite file, so that commits don't delay requests. Each message contains the writes of one
 * commit. The thread responds when the commit is on disk.
 */
const port = parentPort as MessagePort
try {
  const { path, upgrader } = workerData as { path: string; upgrader: Upgrader }
  const file = openSqliteFile(path, upgrader)
  port.on('message', (message: Batch | 'end checkpoint' | 'close') => {
    if (message === 'end checkpoint') return file.endCheckpoint()
    if (message !== 'close') return port.postMessage(file.run(message))
    file.close()
    port.close()
  })
  port.postMessage('open')
} catch (error) {
  port.postMessage({ refused: (error as Error).message })
}
