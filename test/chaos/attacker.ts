import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { until } from '../../simulator/http-server.ts'
import type { RelayProcess } from './relay-process.ts'

/** The results of one kind of honest request during an attack. */
export interface Served {
  sent: number
  /** The number of requests that got the response that they would get without an attack. */
  served: number
  /** The number of requests that got a response within a second, and the longest response time (ms). Tests print these values, and don't assert them. */
  withinASecond: number
  slowestMs: number
  /** Other responses by status. */
  others: Record<string, number>
}

/** Memory after a garbage collection (MB): the process's total, its JavaScript heap, and its buffers. */
export interface Memory {
  rss: number
  held: number
}

/** Sends requests at this rate until `end` (`performance.now()`), without waiting for responses, and counts them. */
export async function honest(
  end: number,
  everyMs: number,
  send: (n: number) => Promise<{ status: number }>,
  expected: number,
): Promise<Served> {
  const result: Served = { sent: 0, served: 0, withinASecond: 0, slowestMs: 0, others: {} }
  const sent: Promise<void>[] = []
  while (performance.now() < end) {
    sent.push(one(result.sent++))
    await sleep(everyMs)
  }
  await Promise.all(sent)
  return result

  async function one(n: number): Promise<void> {
    const began = performance.now()
    const status = await send(n).then(
      response => response.status,
      () => 'none',
    )
    const ms = Math.round(performance.now() - began)
    if (ms <= 1_000) result.withinASecond++
    result.slowestMs = Math.max(result.slowestMs, ms)
    if (status === expected) result.served++
    else result.others[status] = (result.others[status] ?? 0) + 1
  }
}

/** Reads the memory of a relay that has the flags `MEASURED`. */
export async function memoryOf(relay: RelayProcess): Promise<Memory> {
  if (!relay.running()) await relay.crashed
  const before = relay.printed().length
  process.kill(relay.pid, 'SIGUSR2')
  const printed = () => /"rss":(\d+),"held":(\d+)/.exec(relay.printed().slice(before))
  const found = await Promise.race([relay.crashed, until(printed, 'the relay prints its memory')])
  return { rss: Number(found?.[1]) / 1e6, held: Number(found?.[2]) / 1e6 }
}

/** The most memory that a relay can retain after an attack (MB). */
const MAY_STAY_MB = 20

/** Waits up to ten seconds for the relay to release the memory of an attack. @returns the retained memory (MB) */
export async function releasedSince(before: Memory, relay: RelayProcess) {
  let grownMb = Number.POSITIVE_INFINITY
  for (let n = 0; n < 20 && grownMb > MAY_STAY_MB; n++) {
    if (n > 0) await sleep(500)
    grownMb = (await memoryOf(relay)).held - before.held
  }
  return { isReleased: grownMb <= MAY_STAY_MB, grownMb }
}

/** Starts a module's attack in its own thread, so that it doesn't slow down this thread's honest senders. */
export function startAttacker<Result>(module: string, data: object) {
  const worker = new Worker(new URL(module), { workerData: { module, data } })
  const result = once(worker, 'message') as Promise<[Result]>
  return {
    /** Stops the attack, unless it has stopped by itself. */
    stop: () => worker.postMessage('stop'),
    result: async () => (await result)[0],
    terminate: () => worker.terminate(),
  }
}

/** Runs the attack in the thread of `startAttacker` and returns its result to the main thread. */
export async function runAttacker<Data>(
  module: string,
  attack: (data: Data, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  if (isMainThread || workerData?.module !== module) return
  const controller = new AbortController()
  parentPort?.once('message', () => controller.abort())
  parentPort?.postMessage(await attack(workerData.data, controller.signal))
}

/** Counts responses by status, or as `none` if the connection was closed without a response. */
export function createCounter() {
  const responses: Record<string, number> = {}
  return {
    responses,
    count(key: string | number) {
      responses[key] = (responses[key] ?? 0) + 1
    },
    /** Whether every expected response has occurred. The attack continues until then, even past its planned end. */
    has: (keys: readonly (string | number)[]) => keys.every(key => responses[key]),
  }
}
