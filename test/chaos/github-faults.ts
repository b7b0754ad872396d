import { setTimeout as sleep } from 'node:timers/promises'
import type { GitHubApi } from '../../simulator/github/github.ts'
import { type ReceivedRequest, until } from '../../simulator/http-server.ts'
import { type SystemOptions, withSystem } from './system.ts'
import { judge, type Verdict } from './verdict.ts'

export interface GitHubFault extends SystemOptions {
  count: number
  perSecond?: number
  /** Starts the fault. @returns a function that counts how often the fault has struck */
  start: (github: GitHubApi) => () => number
  /** The minimum duration of the fault, which goes on until it has struck `times` times. */
  forMs: number
  strikes?: number
}

/** Tests one GitHub fault while deliveries arrive. */
export async function github(fault: string, options: GitHubFault): Promise<Verdict> {
  return withSystem(options, async system => {
    await system.relay.start()
    const struck = options.start(system.github)
    const load = system.load(options)
    await Promise.all([load.done, sleep(options.forMs)])
    await until(() => struck() >= (options.strikes ?? 0), `${fault}: ${options.strikes} strikes`, 60_000)
    system.github.clearFailures()
    await system.github.start()
    return judge(fault, struck(), system)
  })
}

/** A run without a title doesn't identify its delivery. If any run appears after a lost response, the delivery therefore fails with a reason after RELAY_START_TIMEOUT. */
export const untitled = (startTimeout: string) =>
  ({ runs: 'untitled', env: { RELAY_START_TIMEOUT: startTimeout } }) as const

const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')

/** Makes every nth dispatch fail, up to `most` times. */
function everyNth(nth: number, most: number, fail: (api: GitHubApi, filter: Filter) => void) {
  return (api: GitHubApi) => {
    let seen = 0
    let struck = 0
    const match = (request: ReceivedRequest) => {
      if (!isDispatch(request) || struck >= most || ++seen % nth !== 0) return false
      struck++
      return true
    }
    fail(api, { match, times: Number.POSITIVE_INFINITY })
    return () => struck
  }
}
type Filter = { match: (request: ReceivedRequest) => boolean; times: number }

/** Responds with 500 to every third dispatch, with or without creating the workflow run. */
export const serverErrors = (create: boolean, most = Number.POSITIVE_INFINITY) =>
  everyNth(3, most, ({ failures }, filter) => failures.serverError({ create, ...filter }))

/** Cuts the connection at every third dispatch, before or after the dispatch takes effect. */
export const cuts = (create: boolean) =>
  everyNth(3, Number.POSITIVE_INFINITY, ({ failures }, filter) => failures.cut({ create, ...filter }))

/** Responds to every tenth dispatch with a rate limit. */
export const secondaryLimit = (seconds: number, most: number) =>
  everyNth(10, most, ({ failures }, filter) => failures.secondaryLimit(seconds, filter))
export const tooMany = (seconds: number, most: number) =>
  everyNth(10, most, ({ failures }, filter) => failures.tooMany(seconds, filter))

/** Makes GitHub unreachable after the twentieth dispatch. */
export const down = (api: GitHubApi) => {
  let times = 0
  const stopListening = api.onDispatch(() => {
    if (api.dispatches.length < 20 || times > 0) return
    times = 1
    stopListening()
    void api.stop()
  })
  return () => times
}
