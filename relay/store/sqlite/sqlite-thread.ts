import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { openSqliteFile, type Request } from './file.ts'

/*
 * The thread that owns the SQLite file, so that no commit and no checkpoint ever delays a request. Each
 * message is a list of requests that share one commit; each answer comes after that commit is on disk.
 */
const port = parentPort as MessagePort
try {
  const file = openSqliteFile(String(workerData))
  port.on('message', (requests: Request[] | 'close') => {
    if (requests !== 'close') return port.postMessage(file.run(requests))
    file.close()
    port.close()
  })
  port.postMessage('open')
} catch (error) {
  port.postMessage({ refused: (error as Error).message })
}
