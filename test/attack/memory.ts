import { isMainThread } from 'node:worker_threads'

/* Loaded into a relay by `--import`: on SIGUSR2 it collects its garbage, and prints what memory is left, in bytes. */

if (isMainThread) {
  process.on('SIGUSR2', () => {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    console.log(JSON.stringify({ memory: { rss, held: heapUsed + external } }))
  })
}
