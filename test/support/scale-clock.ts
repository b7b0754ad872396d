import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'

/*
 * Makes a process's clocks and timers CLOCK_SCALE times as fast if preloaded with `--import`. The
 * network isn't affected.
 */
const scale = Number(process.env.CLOCK_SCALE ?? 1)
const began = { wall: Date.now(), timer: performance.now() }
const [realTimer, realTimeout, realInterval] = [performance.now.bind(performance), setTimeout, setInterval]
const realSleep = timers.setTimeout

const timer = () => began.timer + (realTimer() - began.timer) * scale
const wall = () => Math.round(began.wall + timer() - began.timer)
performance.now = timer
globalThis.Date = new Proxy(Date, {
  construct: (target, given, self) => Reflect.construct(target, given.length > 0 ? given : [wall()], self),
  apply: () => new Date(wall()).toString(),
})
Date.now = wall
const scaled = (ms: number | undefined) => (ms ?? 0) / scale
globalThis.setTimeout = ((work: () => void, ms?: number, ...given: []) =>
  realTimeout(work, scaled(ms), ...given)) as typeof setTimeout
globalThis.setInterval = ((work: () => void, ms?: number, ...given: []) =>
  realInterval(work, scaled(ms), ...given)) as typeof setInterval
timers.setTimeout = ((ms?: number, ...given: []) => realSleep(scaled(ms), ...given)) as typeof realSleep
syncBuiltinESMExports()
