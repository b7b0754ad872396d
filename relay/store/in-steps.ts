import { logBatches } from '../../port/client/log-batches.ts'
import type { Report } from './delivery.ts'

/** One report for each request to Port, so that none is half said when Port goes away. */
export function inSteps(report: Report): Report[] {
  if (!('log' in report)) return [report]
  let taken = 0
  const steps = logBatches(report.log).map(({ length }) => {
    taken += length
    return { log: report.log.slice(taken - length, taken) }
  })
  return steps.length > 1 ? steps : [report]
}
