import { isMainThread } from 'node:worker_threads'

/* Preloaded into a relay with `--import`. On SIGUSR2, collects garbage and prints the retained memory in bytes. */

if (isMainThread) {
  process.on('SIGUSR2', () => {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    console.log(JSON.stringify({ memory: { rss, held: heapUsed + external } }))
  })
}
