import type { Document } from 'yaml'
import type { Names } from './map-expression.ts'
import { isOwnRunId, type Scope } from './own-run.ts'
import { addPermissions, notePermissions, requestedBy } from './permissions.ts'
import type { Job } from './read-job.ts'
import type { Rewrite } from './rewrite-job.ts'
import { onlyExpression } from './template.ts'
import type { Migrated } from './types.ts'
import { calledFile, mapOf, nodeAt, pairOf, removePair, startOf, textOf, textsOf } from './yaml-nodes.ts'

/** The inputs that a workflow which calls this one hands on no more. */
export function removedFrom(document: Document, names: Names): Migrated['removed'] {
  const inputs = mapOf(nodeAt(nodeAt(document.get('on', true), 'workflow_call'), 'inputs'))
  return new Map(
    (inputs?.items ?? []).flatMap(({ key }) =>
      (['contexts', 'runIds'] as const)
        .filter(kind => names[kind].has(String(key.value)))
        .map(kind => [String(key.value).toLowerCase(), kind] as const),
    ),
  )
}

/** Why a call of a workflow that lost inputs cannot go without them: what it hands on may be another run. */
export function callProblem(
  job: Job,
  root: unknown,
  names: Names,
  called: ReadonlyMap<string, Migrated>,
): string | null {
  const { removed } = called.get(calledFile(job.calls)!)!
  for (const [name, text] of textsOf(nodeAt(job.map, 'with'))) {
    const kind = removed.get(name)
    if (kind === undefined || handsOnRun(text, kind, { root, job: job.map }, names)) continue
    return `${name}, which it hands to ${job.calls}, is not known to be of the run that started this workflow: neither of the two is rewritten.`
  }
  return null
}

/** Whether a text that is handed to a called workflow is the run's id, or a context as a whole. */
function handsOnRun(text: string, kind: 'contexts' | 'runIds', scope: Scope, names: Names): boolean {
  if (kind === 'runIds') return isOwnRunId(text, scope, names)
  const name = /^(?:github\.event\.)?(?:inputs|client_payload)\.([\w-]+)$/.exec(
    onlyExpression(text) ?? '',
  )?.[1]
  return name !== undefined && names.contexts.has(name)
}

/** What a job hands on of the run to the workflow that it calls. */
const handedRun = (job: Job, root: unknown, names: Names) =>
  (mapOf(nodeAt(job.map, 'with'))?.items ?? []).filter(({ value }) => {
    const text = textOf(value) ?? ''
    const scope = { root, job: job.map }
    return handsOnRun(text, 'contexts', scope, names) || handsOnRun(text, 'runIds', scope, names)
  })

/** Whether the workflow that a job calls may end the run in Port by hand. */
export function callMayEnd(
  job: Job,
  root: unknown,
  names: Names,
  called: ReadonlyMap<string, Migrated>,
): boolean {
  if (job.calls === null) return false
  const file = called.get(calledFile(job.calls) ?? '')
  return file?.changed ? file.mayEnd : handedRun(job, root, names).length > 0
}

/** A job that calls another workflow hands on no more what is in the event. */
export function rewriteCall(
  job: Job,
  { root, edits, names, options, findings, called }: Rewrite,
  done: Set<unknown>,
): void {
  if (job.calls === null) return
  const file = called.get(calledFile(job.calls) ?? '')
  const given = mapOf(nodeAt(job.map, 'with'))
  if (!file) {
    const old = handedRun(job, root, names)
    if (old.length === 0) return
    const handed = old.map(({ key }) => key.value).join(', ')
    findings.push({
      line: edits.lineOf(startOf(old[0]!.key)),
      level: 'todo',
      message: calledFile(job.calls)
        ? `${job.calls} is handed ${handed}, and may report to Port too: migrate it in the same command.`
        : `${job.calls} is handed ${handed}, and may report to Port too: the call stays, since it is of another repository.`,
    })
    return
  }
  if (!file.changed) return
  const old = (given?.items ?? []).filter(({ key }) => file.removed.has(String(key.value).toLowerCase()))
  if (given && old.length > 0 && old.length === given.items.length)
    removePair(job.map, pairOf(job.map, 'with')!, edits)
  else for (const pair of old) removePair(given!, pair, edits)
  if (!options.credentials && addPermissions(root, job.map, edits, done, requestedBy(file.text)))
    notePermissions(job, edits, findings)
}
