import { statSync } from 'node:fs'
import { Worker } from 'node:worker_threads'

/**
 * Between two moves. The commit that moves the last of the log lets everybody wait: for 40 ms where the rest was 200 ms.
 * After a slow move, which took the disk from the commits, the rest is four times as long.
 */
const REST_MS = 50
const RESTS = 4
const LONGEST_REST_MS = 1_000

/**
 * Moves what was committed from SQLite's log into the file, beside the commits. A commit that has to do it writes
 * to all the places that run ids are sorted into: with a million deliveries, that took a quarter of the intake.
 */
export interface Checkpoints {
  /** Something was committed. */
  written(): void
  close(): Promise<void>
}

export function startCheckpoints(path: string): Checkpoints {
  const { ino } = statSync(path)
  let thread: Worker | undefined
  let timer: NodeJS.Timeout | undefined
  let due = false
  let busy = false
  let closed = false
  let rest = REST_MS

  const start = () => {
    // Beside this file in the sources, beside the bundle when bundled.
    const file = `./sqlite-checkpoint-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
    const started = new Worker(new URL(file, import.meta.url), {
      workerData: { path, ino },
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    })
    started.on('message', (took: number) => {
      busy = false
      rest = Math.min(Math.max(REST_MS, RESTS * took), LONGEST_REST_MS)
      schedule()
    })
    // Without it, commits move the log themselves once it is long.
    started.on('error', () => {})
    return started
  }
  const schedule = () => {
    if (!due || busy || closed || timer) return
    timer = setTimeout(() => {
      timer = undefined
      due = false
      busy = true
      thread ??= start()
      thread.postMessage('checkpoint')
    }, rest)
  }
  return {
    written() {
      due = true
      schedule()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await thread?.terminate()
    },
  }
}
