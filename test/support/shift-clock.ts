import { readFileSync } from 'node:fs'

/*
 * Shifts a process's wall clock by the milliseconds in the file CLOCK_OFFSET_FILE if preloaded with
 * `--import`. `performance.now()` doesn't change, as on a machine whose clock is set.
 */
const file = process.env.CLOCK_OFFSET_FILE
if (file) {
  const real = Date.now
  const shifted = () => real() + Number(readFileSync(file, 'utf8'))
  globalThis.Date = new Proxy(Date, {
    construct: (target, given, self) =>
      Reflect.construct(target, given.length > 0 ? given : [shifted()], self),
    apply: () => new Date(shifted()).toString(),
  })
  Date.now = shifted
}
