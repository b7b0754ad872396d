import { readFileSync } from 'node:fs'

/*
 * Preloaded by `--import` into a process whose wall clock is to be wrong: by as many milliseconds as the file
 * CLOCK_OFFSET_FILE says at the time. The timer `performance.now()` goes on, as it does when a machine's clock is set.
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
