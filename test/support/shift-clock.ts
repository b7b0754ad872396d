import { readFileSync } from 'node:fs'

/*
 * Preload with `--import` to shift a process's wall clock by the number of milliseconds in the file
 * CLOCK_OFFSET_FILE. `performance.now()` is unaffected, as when a machine's clock is set.
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
