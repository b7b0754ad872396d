import type { Delivery } from '../../store/delivery.ts'

/** What was dispatched, for people: `"deploy" to acme/shop`, `workflow deploy.yml to acme/shop on main`. */
export function describeDispatch({ repository, eventType, workflow, ref }: Delivery): string {
  if (workflow === null) return `"${eventType}" to ${repository}`
  return `workflow ${workflow} to ${repository}${ref === null ? '' : ` on ${ref}`}`
}

/** GitHub's answer, as the history and the log name it. */
export const answered = (answer: { status: number; requestId: string | null } | undefined) =>
  answer && {
    status: answer.status,
    ...(answer.requestId !== null && { github_request_id: answer.requestId }),
  }

/** The page of a repository's workflow runs. */
export const actionsPage = (serverUrl: string, repository: string) => `${serverUrl}/${repository}/actions`

/** @param ms milliseconds since 1970 */
export const clockTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** A duration in milliseconds, for people. */
export function duration(ms: number): string {
  if (ms >= 36e5) return `${round(ms / 36e5)} h`
  return ms >= 6e4 ? `${round(ms / 6e4)} min` : `${round(ms / 1e3)} s`
}
const round = (value: number) => Math.round(value * 10) / 10
