import { parseDocument } from 'yaml'
import type { TextEdits } from './text-edits.ts'
import * as yaml from './yaml-nodes.ts'
import { nodeAt, pairOf, startOf, textAt } from './yaml-nodes.ts'

type Permissions = Map<string, string>

/** What `read-all` contains. */
const ALL =
  'actions attestations checks contents deployments discussions issues packages pages pull-requests security-events statuses'

/** What a job seems to write with GITHUB_TOKEN, from the text of its steps. */
const WRITES: Record<string, RegExp> = {
  contents: /git push|git-auto-commit|create-pull-request|gh[ -]release|gh-pages|gh pr merge|pulls\.merge/i,
  issues: /gh issue|issues\.|create-or-update-comment|issue-comment/i,
  packages: /ghcr\.io|npm publish/i,
  'pull-requests': /create-pull-request|gh pr |pulls\./i,
}

const permissionsOf = (permissions: unknown): Permissions => {
  const all = /^(read|write)-all$/.exec(textAt(permissions) ?? '')?.[1]
  return all ? new Map(ALL.split(' ').map(name => [name, all])) : yaml.textsOf(permissions)
}

/** What the jobs of a workflow request, which a job that calls it must have. */
export function requestedBy(workflow: string): Permissions {
  const root = parseDocument(workflow).contents
  const requested: Permissions = new Map()
  for (const { value: job } of yaml.itemsOf(nodeAt(root, 'jobs')))
    for (const [name, level] of permissionsOf(nodeAt(job, 'permissions') ?? nodeAt(root, 'permissions')))
      if (requested.get(name) !== 'write') requested.set(name, level)
  return requested
}

/**
 * Gives a job what the action needs: in its own `permissions`, or in those of the workflow, or in new ones.
 *
 * @param more what it needs besides
 * @returns the new ones as a text, if it had the repository's default permissions; else null
 */
export function addPermissions(
  root: unknown,
  job: yaml.Mapping,
  more: Permissions,
  edits: TextEdits,
): string | null {
  const needed = new Map([['actions', 'read'], ['id-token', 'write'], ...more])
  const pair = pairOf(job, 'permissions') ?? pairOf(root, 'permissions')
  if (pair) {
    merge(pair, needed, edits)
    return null
  }
  const all = new Map([['contents', 'read'], ...needed])
  const text = edits.text.slice(job.range![0], job.range![1])
  for (const [name, pattern] of Object.entries(WRITES)) if (pattern.test(text)) all.set(name, 'write')
  const names = [...all].map(([name, level]) => `${name}: ${level}`).sort()
  const before = pairOf(job, 'runs-on') ?? pairOf(job, 'uses')!
  const lines = ['permissions:', ...names.map(line => `  ${line}`)]
  edits.insertLines(yaml.afterPair(before, edits), edits.columnOf(startOf(before.key)), lines)
  return names.join(', ')
}

function merge(pair: yaml.Entry, needed: Permissions, edits: TextEdits): void {
  const given = permissionsOf(pair.value)
  const missing = [...needed].filter(([name, level]) => ![level, 'write'].includes(given.get(name) ?? ''))
  if (missing.length === 0 || textAt(pair.value) === 'write-all') return
  const isNew = missing.every(([name]) => !pairOf(pair.value, name))
  const write = ([name, level]: [string, string]) => `${name}: ${level}`
  if (isNew && yaml.keysOf(pair.value).length > 0 && !yaml.isFlow(pair.value)) {
    yaml.addLines(pair, missing.map(write), edits)
    return
  }
  const pad = `\n${' '.repeat(edits.columnOf(startOf(pair.key)) + 2)}`
  const all = [...new Map([...given, ...missing])].map(each => pad + write(each))
  edits.replace(startOf(pair.key), yaml.pairEnd(pair, edits), `permissions:${all.join('')}`)
}
