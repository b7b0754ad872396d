import { setTimeout as sleep } from 'node:timers/promises'
import type { GitHubApi } from '../../../tools/simulator/github/github.ts'
import { type ReceivedRequest, until } from '../../../tools/simulator/http-server.ts'
import { judge, type Verdict } from '../verdict.ts'
import { inWorld, type WorldOptions } from '../world.ts'

export interface GitHubFault extends WorldOptions {
  count: number
  perSecond?: number
  /** Begins the trouble; what it returns says how often it struck. */
  start: (github: GitHubApi) => Promise<() => number> | (() => number)
  /** The trouble lasts at least so long, and until it struck so often. */
  forMs: number
  strikes?: number
}

/** Something is wrong with GitHub while deliveries come in. */
export async function github(fault: string, options: GitHubFault): Promise<Verdict> {
  return inWorld(options, async world => {
    await world.relay.start()
    const struck = await options.start(world.github)
    const load = world.load(options)
    await Promise.all([load.done, sleep(options.forMs)])
    await until(() => struck() >= (options.strikes ?? 0), `${fault}: it strikes ${options.strikes} times`)
    world.github.clearFailures()
    await world.github.start()
    return judge(fault, struck(), world, load)
  })
}

/**
 * Nothing shows which delivery an untitled run is of: a dispatch without an answer fails with a sentence when
 * RELAY_START_TIMEOUT is over, unless no run at all appeared.
 */
export const untitled = (startTimeout: string) =>
  ({ runs: 'untitled', env: { RELAY_START_TIMEOUT: startTimeout } }) as const

const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')

/** Counts the dispatches, and picks some of them. */
function every(nth: number, most = Number.POSITIVE_INFINITY) {
  let seen = 0
  let struck = 0
  return {
    match: (request: ReceivedRequest) => {
      if (!isDispatch(request) || struck >= most || ++seen % nth !== 0) return false
      struck++
      return true
    },
    struck: () => struck,
  }
}

/** 500 to every third dispatch, with or without the workflow run having been created. */
export const serverErrors = (create: boolean, most?: number) => (api: GitHubApi) => {
  const { match, struck } = every(3, most)
  api.failures.serverError({ create, match, times: Number.POSITIVE_INFINITY })
  return struck
}

/** The connection is cut at every third dispatch, before or after it took effect. */
export const cuts = (create: boolean, most?: number) => (api: GitHubApi) => {
  const { match, struck } = every(3, most)
  api.failures.cut({ create, match, times: Number.POSITIVE_INFINITY })
  return struck
}

/** A limit is met at the tenth dispatch, and again at each tenth after it. */
export const secondaryLimit = (seconds: number, most: number) => (api: GitHubApi) => {
  const { match, struck } = every(10, most)
  api.failures.secondaryLimit(seconds, { match, times: Number.POSITIVE_INFINITY })
  return struck
}

export const tooMany = (seconds: number, most: number) => (api: GitHubApi) => {
  const { match, struck } = every(10, most)
  api.failures.tooMany(seconds, { match, times: Number.POSITIVE_INFINITY })
  return struck
}

/** GitHub cannot be reached from the twentieth dispatch on. */
export const down = (api: GitHubApi) => {
  let times = 0
  const end = api.onDispatch(() => {
    if (api.dispatches.length < 20 || times > 0) return
    times = 1
    end()
    void api.stop()
  })
  return () => times
}
