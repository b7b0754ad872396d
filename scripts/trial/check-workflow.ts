import { nearestName } from '../../relay/config/nearest-name.ts'
import type { WorkflowJob } from '../../test/support/player/read-workflow.ts'
import { Expression, type Template } from '../../test/support/player/template.ts'
import type { PlayedRun } from '../../test/support/player/types.ts'
import { isOurs, type TrialWorkflow } from './read-trial-workflow.ts'

/** The permissions that the jobs with the action lack on GitHub, a sentence each. */
export function missingPermissions({ name, workflow }: TrialWorkflow): string[] {
  return workflow.jobs.flatMap(job => {
    const own = job.steps.find(({ uses }) => uses !== null && isOurs(uses))
    if (!own || own.with.report === 'off') return []
    const missing = [
      ...(own.with['port-client-secret'] === undefined && !has(job, 'id-token', ['write'])
        ? ['"id-token: write", without which it cannot report through the relay']
        : []),
      ...(!has(job, 'actions', ['read', 'write'])
        ? ['"actions: read", without which Port does not show its steps']
        : []),
    ]
    return missing.map(permission => `Job ${job.id} of ${name} lacks the permission ${permission}.`)
  })
}

function has({ permissions }: WorkflowJob, name: string, levels: string[]): boolean {
  if (permissions === 'write-all') return true
  if (permissions === 'read-all') return levels.includes('read')
  if (typeof permissions !== 'object' || permissions === null || Array.isArray(permissions)) return false
  const given = (permissions as Record<string, Template>)[name]
  return typeof given === 'string' && levels.includes(given)
}

/** The outputs of the action that later steps read and that this run did not have, a sentence each. */
export function missingOutputs({ workflow }: TrialWorkflow, { jobs }: PlayedRun): string[] {
  return workflow.jobs.flatMap(job => {
    const own = job.steps.find(({ uses, named }) => named && uses !== null && isOurs(uses))
    const steps = jobs.filter(({ id }) => id === job.id).flatMap(({ steps }) => steps)
    const played = steps.find(
      ({ kind, conclusion, id }) => kind === 'main' && id === own?.id && conclusion === 'success',
    )
    if (!own || !played) return []
    const names = Object.keys(played.outputs)
    const read = new RegExp(`\\bsteps\\.${own.id}\\.outputs(?:\\.([\\w-]+)|\\['([^']+)'\\])`, 'g')
    const found = expressionsIn([job.steps, job.outputs, job.env].flat() as unknown as Template).flatMap(
      expression =>
        expression.written.flatMap(text =>
          [...text.matchAll(read)].map(([whole, plain, quoted]) => ({
            expression,
            whole,
            name: (plain ?? quoted)!,
          })),
        ),
    )
    const known = new Set(names.map(name => name.toLowerCase()))
    return [...Map.groupBy(found, ({ whole }) => whole).values()].flatMap(([first]) => {
      const { expression, whole, name } = first!
      if (known.has(name.toLowerCase())) return []
      const nearest = nearestName(name, names)
      const hint = nearest === null ? '' : ` Did you mean ${nearest}?`
      return [
        `${expression.place.positionOf(whole)}: ${whole} is not an output in this run, so it is empty.${hint}`,
      ]
    })
  })
}

function expressionsIn(value: Template): Expression[] {
  if (value instanceof Expression) return [value]
  if (Array.isArray(value)) return value.flatMap(expressionsIn)
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(expressionsIn) : []
}
