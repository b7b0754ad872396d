import { isMainThread } from 'node:worker_threads'

/*
 * Loaded into a relay by `--import`: on SIGUSR2 it collects its garbage, and prints what memory is left, in bytes, and
 * the longest time of the CPU, in milliseconds, that its event loop has spent at a stretch since it was last asked.
 */

const EVERY_MS = 5

if (isMainThread) {
  let heldMs = 0
  let last = process.threadCpuUsage()
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(last)
    heldMs = Math.max(heldMs, Math.round((user + system) / 1e3))
    last = process.threadCpuUsage()
  }, EVERY_MS).unref()
  process.on('SIGUSR2', () => {
    const longest = heldMs
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    console.log(JSON.stringify({ memory: { rss, held: heapUsed + external, heldMs: longest } }))
    last = process.threadCpuUsage()
    heldMs = 0
  })
}
