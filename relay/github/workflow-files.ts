import { RequestError } from '@octokit/request-error'
import { BoundedMap, createTtlCache } from '../cache.ts'
import type { Credential } from './credentials.ts'
import type { RequestBudget } from './rate-limit-pause.ts'
import { mustBeGitHub } from './response.ts'

/** A workflow file on the default branch, with the id of its contents. */
interface WorkflowFile {
  path: string
  blob: string
  /** In bytes. */
  size: number
}

/** Reads workflow files on the default branch. All functions throw Octokit's errors and CredentialError. */
export interface WorkflowFileReader {
  /** Empty if the branch has no workflow folder. */
  workflowFiles(repository: string): Promise<WorkflowFile[]>
  workflowFile(repository: string, path: string): Promise<string>
}

const FOLDER = '.github/workflows'

export function createWorkflowFileReader(credential: Credential): WorkflowFileReader {
  return {
    workflowFiles: repository =>
      credential.use(repository, async (octokit, at) => {
        try {
          const { data } = await octokit.repos.getContent({ ...at, path: FOLDER })
          mustBeGitHub(Array.isArray(data))
          return (Array.isArray(data) ? data : [])
            .filter(({ name }) => /\.ya?ml$/.test(name))
            .map(({ path, sha, size }) => ({ path, blob: sha, size }))
        } catch (error) {
          if (error instanceof RequestError && error.status === 404) return []
          throw error
        }
      }),
    workflowFile: (repository, path) =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.repos.getContent({ ...at, path })
        if (Array.isArray(data) || data.type !== 'file') throw new Error(`${path} isn't a file`)
        return Buffer.from(data.content, 'base64').toString('utf8')
      }),
  }
}

/** The event types that a file listens for; null if the file can't be parsed as a workflow. */
type Types = 'all' | readonly string[] | null

const MAX_FILES = 20
/** Larger files aren't read. */
const MAX_BYTES = 250_000
/** Maximum length of the `on:` section, in characters. */
const MAX_SECTION = 4_000
const MAX_BRACKETS = 20
/** Minimum time between two reads of a repository. */
const REMEMBERED_MS = 300_000
const MAX_BLOBS = 1_000

/** `unknown`: a file is unreadable, there are too many files, or the request budget is used up. */
export type Listeners = 'found' | 'none' | 'no files' | 'unknown'

/** Whether a workflow on the default branch listens for a `repository_dispatch` event type. Never throws. */
export type FindListeners = (repository: string, eventType: string) => Promise<Listeners>

/** @param leave number of requests to leave in the budget for more urgent work */
export function createFindListeners(
  github: WorkflowFileReader,
  budget: RequestBudget,
  clock: () => number,
  leave: number,
): FindListeners {
  const blobs = new BoundedMap<string, Types>(MAX_BLOBS)
  const repositories = createTtlCache<{
    /** Null if the files can't be read. */
    files: Promise<WorkflowFile[] | null>
    types: Map<string, Promise<Types>>
  }>(REMEMBERED_MS, clock)

  async function readTypes(repository: string, { path, blob, size }: WorkflowFile): Promise<Types> {
    if (size > MAX_BYTES) return null
    try {
      const types = await typesIn(await github.workflowFile(repository, path))
      blobs.set(blob, types)
      return types
    } catch {
      return null
    }
  }

  return async (repository, eventType) => {
    const key = repository.toLowerCase()
    let known = repositories.get(key)
    if (!known) {
      if (!budget.take(1, leave)) return 'unknown'
      known = { files: github.workflowFiles(repository).catch(() => null), types: new Map() }
      repositories.set(key, known)
    }
    const files = await known.files
    if (files === null || files.length > MAX_FILES) return 'unknown'
    if (files.length === 0) return 'no files'
    const read: (Types | Promise<Types>)[] = []
    for (const file of files) {
      const types = blobs.get(file.blob) ?? known.types.get(file.blob)
      if (types === undefined && budget.take(1, leave))
        known.types.set(file.blob, readTypes(repository, file))
      read.push(types ?? known.types.get(file.blob) ?? null)
    }
    const types = await Promise.all(read)
    if (types.some(each => each === 'all' || each?.includes(eventType))) return 'found'
    return types.includes(null) ? 'unknown' : 'none'
  }
}

/** Returns the types in a workflow file's `on: repository_dispatch`. Supports every syntax that GitHub accepts. */
async function typesIn(text: string): Promise<Types> {
  const section = triggersIn(text)
  if (section === null) return null
  const { parse } = await import('yaml')
  let on: unknown
  try {
    on = (parse(section) as { on?: unknown } | null)?.on
  } catch {
    return null
  }
  if (typeof on === 'string' || Array.isArray(on)) {
    return [on].flat().includes('repository_dispatch') ? 'all' : []
  }
  if (typeof on !== 'object' || on === null) return null
  if (!('repository_dispatch' in on)) return []
  const types = (on.repository_dispatch as { types?: unknown } | null)?.types ?? 'all'
  if (types === 'all') return types
  const list = [types].flat()
  return list.every(each => typeof each === 'string') ? list : null
}

/**
 * Returns a workflow file's `on:` section, because parsing the whole file would delay webhooks. Returns null if the
 * section is missing, or contains deep nesting or complex keys. Triggers don't need such YAML, which is slow to parse.
 */
function triggersIn(text: string): string | null {
  const lines = text.split('\n')
  const first = lines.findIndex(line => /^(on|"on"|'on') *:/.test(line))
  if (first < 0) return null
  const length = lines.slice(first + 1).findIndex(line => /^[^\s#\-}\]]/.test(line))
  const section = lines.slice(first, length < 0 ? undefined : first + 1 + length).join('\n')
  if (section.length > MAX_SECTION || section.split(/[[{]/).length > MAX_BRACKETS) return null
  return /(^|\s)(\?|- +-)\s/m.test(section) ? null : section
}
