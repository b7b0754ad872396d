import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until `check` gives something true; throws after a while with what was waited for. */
export async function until<T>(check: () => T | Promise<T>, what: string, timeoutMs = 20_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(10)
  }
}
