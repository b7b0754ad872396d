import { setTimeout as sleep } from 'node:timers/promises'
import type { RelayProcess } from '../faults/relay-process.ts'

/** What became of the honest requests of one kind. */
export interface Served {
  sent: number
  /** Answered as without an attack. */
  served: number
  withinSecond: number
  worstMs: number
  /** What else was answered, and how often. */
  others: Record<string, number>
}

/** Asks at this pace until then, whatever was answered, and counts the answers. */
export async function honest(
  until: number,
  everyMs: number,
  ask: (n: number) => Promise<{ status: number }>,
  expected: number,
): Promise<Served> {
  const result: Served = { sent: 0, served: 0, withinSecond: 0, worstMs: 0, others: {} }
  const asked: Promise<void>[] = []
  while (performance.now() < until) {
    asked.push(one(result.sent++))
    await sleep(everyMs)
  }
  await Promise.all(asked)
  return result

  async function one(n: number): Promise<void> {
    const began = performance.now()
    const status = await ask(n).then(
      response => response.status,
      () => 'none',
    )
    const ms = performance.now() - began
    result.worstMs = Math.max(result.worstMs, Math.round(ms))
    if (status === expected) {
      result.served++
      if (ms <= 1_000) result.withinSecond++
    } else result.others[status] = (result.others[status] ?? 0) + 1
  }
}

/**
 * The memory of a relay that has loaded memory.ts, after a garbage collection, MB.
 *
 * @returns `held`: by JavaScript and its buffers; `heldMs`: for how long its event loop was held at a stretch, at most,
 *   milliseconds of the CPU since the last call
 */
export async function memoryOf(relay: RelayProcess): Promise<{ held: number; rss: number; heldMs: number }> {
  const before = relay.printed().length
  process.kill(relay.pid, 'SIGUSR2')
  for (;;) {
    const [, ...found] = /"rss":(\d+),"held":(\d+),"heldMs":(\d+)/.exec(relay.printed().slice(before)) ?? []
    const [rss = 0, held = 0, heldMs = 0] = found.map(Number)
    if (held) return { held: Math.round(held / 1e6), rss: Math.round(rss / 1e6), heldMs }
    await sleep(20)
  }
}
