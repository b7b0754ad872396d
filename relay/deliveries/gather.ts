import { logBatches } from '../../port/client/log-batches.ts'
import type { Report, Telling } from '../store/delivery.ts'

/** What is said in one call. */
export interface Gathered {
  words: Telling['reports']
  report: Report
  /** The first of them. */
  createdAt: number
  /** Whether Port did not take them before. */
  tried: boolean
}

/** Lines that wait one after the other are said in one request, as many as fit: Port limits requests. */
export function gather(reports: Telling['reports'], tried: boolean): Gathered[] {
  const gathered: Gathered[] = []
  for (const word of reports) {
    const { report } = word
    const last = gathered.at(-1)
    const lines = last && 'log' in last.report && 'log' in report ? [...last.report.log, ...report.log] : null
    if (last && lines && logBatches(lines).length === 1) {
      last.words.push(word)
      last.report = { log: lines }
    } else gathered.push({ ...word, words: [word], tried: tried && gathered.length === 0 })
  }
  return gathered
}
