import { evaluate } from './evaluate.ts'
import { type JobState, stepContexts } from './job-state.ts'
import { refuse, refuseOtherKeys } from './refuse.ts'

export type WantedContainer = { image: string; env: Record<string, string> }

/** `container:` of a job; null without one, or where its image is evaluated to nothing. */
export function readContainer(state: JobState): WantedContainer | null {
  const { job, scope } = state
  const given = evaluate(job.container, stepContexts(state, scope, scope.env))
  if (given === null || given === '') return null
  if (typeof given === 'string') return { image: given, env: {} }
  if (typeof given !== 'object' || Array.isArray(given))
    return refuse(`"container: ${given}" in job ${job.id}`)
  refuseOtherKeys(given, ['image', 'env'], `container of job ${job.id}`)
  const env = Object.entries(given.env ?? {}).map(([name, value]) => [name, String(value ?? '')])
  return given.image ? { image: String(given.image), env: Object.fromEntries(env) } : null
}
