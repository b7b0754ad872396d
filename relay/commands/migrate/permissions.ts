import { isMap, isScalar, type Node, type Pair, parseDocument, type Scalar } from 'yaml'
import type { Job } from './read-job.ts'
import type { TextEdits } from './text-edits.ts'
import type { Finding } from './types.ts'
import { isFlow, mapOf, nodeAt, pairEnd, pairOf, startOf, textOf, textsOf } from './yaml-nodes.ts'

/** What the action asks for: its own identity, and the steps of its job. */
const NEEDED = { actions: 'read', 'id-token': 'write' }
type Permissions = Map<string, string>
/** What `read-all` stands for, since a list is all or nothing. */
const READ_ALL =
  'actions attestations checks contents deployments discussions issues packages pages pull-requests security-events statuses'

/** What the jobs of a workflow ask for, which a job that calls it must have. */
export function requestedBy(workflow: string): Permissions {
  const root = parseDocument(workflow).contents
  const requested: Permissions = new Map()
  for (const { value: job } of mapOf(nodeAt(root, 'jobs'))?.items ?? [])
    for (const [name, level] of listed(nodeAt(job, 'permissions') ?? nodeAt(root, 'permissions')))
      if (requested.get(name) !== 'write') requested.set(name, level)
  return requested
}

function listed(permissions: Node | null): [string, string][] {
  const level = /^(read|write)-all$/.exec(textOf(permissions) ?? '')?.[1]
  return level ? READ_ALL.split(' ').map(name => [name, level]) : [...textsOf(permissions)]
}

/**
 * Gives a job what the action needs: in its own `permissions`, else in those of the workflow, else in new ones.
 *
 * @param more what new ones have besides
 * @returns whether the job had none, so that it now has these alone
 */
export function addPermissions(
  root: unknown,
  job: unknown,
  edits: TextEdits,
  done: Set<unknown>,
  more: Permissions = new Map(),
): boolean {
  const owner = pairOf(job, 'permissions') ? job : pairOf(root, 'permissions') ? root : null
  if (owner) {
    const pair = pairOf(owner, 'permissions')!
    if (!done.has(pair)) merge(pair, edits)
    done.add(pair)
    return false
  }
  const after = pairOf(job, 'runs-on') ?? pairOf(job, 'uses')
  if (!after) return false
  const column = edits.columnOf(startOf(after.key))
  const pad = ' '.repeat(column)
  const all = { actions: 'read', contents: 'read', ...Object.fromEntries(more), 'id-token': 'write' }
  const lines = ['permissions:', ...Object.entries(all).map(([name, level]) => `  ${name}: ${level}`)]
  edits.insert(edits.nextLine(pairEnd(after, edits) - 1), lines.map(line => `${pad}${line}\n`).join(''))
  return true
}

/** Says that a job which had no permissions has those of `addPermissions` alone. */
export function notePermissions(job: Job, edits: TextEdits, findings: Finding[]): void {
  const text = edits.text.slice(job.map.range![0], job.map.range![1])
  const uses = /secrets\.GITHUB_TOKEN|github\.token|git push|create-pull-request|gh-pages|packages/i.test(
    text,
  )
  findings.push({
    line: job.line,
    level: 'check',
    message: uses
      ? `job ${job.id} had the permissions that the repository gives by default, and uses GITHUB_TOKEN: add to its new permissions what it writes (contents, pull-requests, packages), or use --credentials.`
      : `job ${job.id} had the permissions that the repository gives by default: now it may read, and no more.`,
  })
}

function merge(pair: Pair<Scalar, Node | null>, edits: TextEdits): void {
  const { value } = pair
  const column = edits.columnOf(startOf(pair.key))
  const text = textOf(value)
  if (isScalar(value) && text !== null && text !== '') {
    if (text === 'write-all') return
    const lines = [...READ_ALL.split(' ').map(name => `${name}: read`), 'id-token: write']
    const pad = ' '.repeat(column + 2)
    edits.replace(
      startOf(pair.key),
      pairEnd(pair, edits),
      `permissions:\n${lines.map(line => pad + line).join('\n')}`,
    )
    return
  }
  const map = mapOf(value)
  if (!map || !isMap(map) || map.items.length === 0) {
    edits.replace(startOf(pair.key), pairEnd(pair, edits), 'permissions: { actions: read, id-token: write }')
    return
  }
  const missing: string[] = []
  for (const [name, level] of Object.entries(NEEDED)) {
    const given = pairOf(map, name)
    if (!given) missing.push(`${name}: ${level}`)
    else if (textOf(given.value) === 'none' || (name === 'id-token' && textOf(given.value) !== 'write'))
      edits.replace(startOf(given.value!), given.value!.range![1], level)
  }
  if (missing.length === 0) return
  if (isFlow(map)) {
    const last = map.items.at(-1)!
    edits.insert(pairEnd(last, edits), `, ${missing.join(', ')}`)
    return
  }
  const last = map.items.at(-1)!
  const pad = ' '.repeat(edits.columnOf(startOf(map.items[0]!.key)))
  const at = edits.nextLine(pairEnd(last, edits) - 1)
  const lead = edits.text[at - 1] === '\n' ? '' : '\n'
  edits.insert(at, lead + missing.map(line => `${pad}${line}\n`).join(''))
}
