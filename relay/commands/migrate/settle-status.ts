import { type Course, jobRuns, stepRuns, valueIn } from './judge-condition.ts'
import type { Report } from './port-step.ts'
import { hasExpression, onlyExpression } from './template.ts'

const GREEN: Course = { job: 'success', needs: 'success' }
/** The job fails, or one before it has failed. */
const RED: Course[] = [
  { job: 'failure', needs: 'success' },
  { job: 'success', needs: 'failure' },
]

/**
 * Leaves out a status that the end of the job, or of the jobs before it, gives by itself. What is left ends a green
 * job as FAILURE.
 *
 * @returns what a person should know of the difference
 */
export function settleStatus(
  reports: Report[],
  conditions: { step: string | null; job: string | null },
  stepsFollow: boolean,
): { reports: Report[]; notes: string[] } {
  const notes: string[] = []
  const mayRun = (course: Course) =>
    jobRuns(conditions.job, course) !== false && stepRuns(conditions.step, course) !== false
  const red = RED.filter(mayRun)
  const left = reports.filter(report => {
    if (report.kind !== 'status') return true
    const { text } = report
    if (!hasExpression(text)) {
      if (text === 'FAILURE') return mayRun(GREEN)
      if (text !== 'SUCCESS') notes.push(`the status ${text} ends no run: it is left out.`)
      else if (red.length > 0)
        notes.push('SUCCESS was sent also when the job fails: the run in Port ends as the job does.')
      else if (stepsFollow)
        notes.push('the run in Port ended here: now it ends with the job, as the job does.')
      return false
    }
    const source = onlyExpression(text)
    const given = (course: Course) => (source === null ? undefined : valueIn(source, course))
    if (red.some(course => given(course) !== 'FAILURE'))
      notes.push(
        'a job that fails ends the run in Port as FAILURE, whatever the expression of the status says.',
      )
    return mayRun(GREEN) && given(GREEN) !== 'SUCCESS'
  })
  return { reports: left, notes }
}
