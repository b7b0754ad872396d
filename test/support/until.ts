import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until `check` gives something true; throws after a while with what was waited for. It looks again after 10 ms at
 * first, and after a tenth of the time that it has waited later: many tests wait at once.
 */
export async function until<T>(check: () => T | Promise<T>, what: string, timeoutMs = 20_000): Promise<T> {
  const began = performance.now()
  for (;;) {
    const value = await check()
    if (value) return value
    const waited = performance.now() - began
    if (waited > timeoutMs) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(Math.min(Math.max(10, waited / 10), 250))
  }
}
