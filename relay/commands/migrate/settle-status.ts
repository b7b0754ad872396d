import { runsIn, valueIn } from './judge-condition.ts'
import type { Report } from './port-step.ts'
import { hasExpression, onlyExpression } from './template.ts'

/**
 * Leaves out a status that the end of the job gives by itself. What is left ends a green job as FAILURE.
 *
 * @returns what a person should know of the difference
 */
export function settleStatus(
  reports: Report[],
  condition: string | null,
  stepsFollow: boolean,
): { reports: Report[]; notes: string[] } {
  const notes: string[] = []
  const runs = { success: runsIn(condition, 'success'), failure: runsIn(condition, 'failure') }
  const left = reports.filter(report => {
    if (report.kind !== 'status') return true
    const { text } = report
    if (!hasExpression(text)) {
      if (text === 'FAILURE') return runs.success !== false
      if (text !== 'SUCCESS') notes.push(`the status ${text} ends no run: it is left out.`)
      else if (runs.failure !== false)
        notes.push('SUCCESS was sent also when the job fails: the run in Port ends as the job does.')
      else if (stepsFollow)
        notes.push('the run in Port ended here: now it ends with the job, as the job does.')
      return false
    }
    const source = onlyExpression(text)
    const given = (course: 'success' | 'failure') => (source === null ? undefined : valueIn(source, course))
    if (runs.failure !== false && given('failure') !== 'FAILURE')
      notes.push(
        'a job that fails ends the run in Port as FAILURE, whatever the expression of the status says.',
      )
    return runs.success !== false && given('success') !== 'SUCCESS'
  })
  return { reports: left, notes }
}
