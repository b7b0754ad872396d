import { isMainThread } from 'node:worker_threads'

/* Loaded into a relay with `--import`: on SIGUSR2, collects garbage and prints the memory that is left, in bytes. */

if (isMainThread) {
  process.on('SIGUSR2', () => {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    console.log(JSON.stringify({ memory: { rss, held: heapUsed + external } }))
  })
}
