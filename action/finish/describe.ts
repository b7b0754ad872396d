import type { LogLine } from '../../port/types.ts'
import type { JobStatus } from '../runner/inputs.ts'
import type { Step } from './read-steps.ts'

const MARK: Record<string, string> = { success: '✓', failure: '✗', cancelled: '✗' }
const LEVEL: Record<string, LogLine['level']> = { failure: 'ERROR', cancelled: 'WARN' }

/** One log line for a step: `✓ Build image (12 s)`. */
export function stepLine(step: Step): LogLine {
  const { name, durationMs } = step
  const conclusion = step.conclusion ?? 'still running'
  const time = durationMs === null || conclusion === 'skipped' ? '' : ` (${duration(durationMs)})`
  const word = conclusion === 'success' ? '' : `: ${conclusion}`
  return { level: LEVEL[conclusion] ?? 'INFO', message: `${MARK[conclusion] ?? '–'} ${name}${word}${time}` }
}

/** `✓ success`, `✗ failure`, `– skipped` */
export function stepResult({ conclusion }: Step): string {
  const word = conclusion ?? 'still running'
  return `${MARK[word] ?? '–'} ${word}`
}

/** The jobs before this one that make the run fail, or did not run: `✗ Job build: failure`, `– Job deploy: skipped`. */
export function needLines(needs: Record<string, string>): LogLine[] {
  return Object.entries(needs)
    .filter(([, result]) => result !== 'success')
    .map(([job, result]) => ({
      level: LEVEL[result] ?? 'INFO',
      message: `${MARK[result] ?? '–'} Job ${job}: ${result}`,
    }))
}

/** The last line of the log: `✓ Job deploy: success after 42 s`. */
export function jobLine(job: { name: string; status: JobStatus; durationMs: number }): LogLine {
  return {
    level: LEVEL[job.status] ?? 'INFO',
    message: `${MARK[job.status]} Job ${job.name}: ${job.status} after ${duration(job.durationMs)}`,
  }
}

/** `42 s`, `1 min 3 s`, `2 h 5 min` */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
