import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import { eventTypes, inputsOf, readEvents, type WorkflowInputs } from '../../workflow-files/triggers.ts'
import { BoundedMap, createTtlCache } from '../cache.ts'
import type { Credential } from './credentials.ts'
import type { RequestBudget } from './rate-limit-pause.ts'
import type { ListedWorkflow, RepositoryReader } from './repository.ts'
import { mustBeGitHub } from './response.ts'

/** A workflow file on the default branch. `blob`: the ID of its contents. `size`: their size in bytes. */
type WorkflowFile = { path: string; blob: string; size: number }

const FOLDER = '.github/workflows'

/** The lockfile, which lists the actions that GitHub may run. @see https://github.com/github/gh-actions-lock */
export const LOCKFILE = `${FOLDER}/actions.lock`

export type WorkflowFileReader = ReturnType<typeof createWorkflowFileReader>

/** Creates functions that read workflow files on the default branch. They throw Octokit's errors and CredentialError. */
export function createWorkflowFileReader(credential: Credential) {
  return {
    /** Lists the workflow files; empty if the branch has no workflow folder. */
    workflowFiles: (repository: string): Promise<WorkflowFile[]> =>
      credential
        .use(repository, async (octokit, at) => {
          const { data } = await octokit.repos.getContent({ ...at, path: FOLDER })
          mustBeGitHub(Array.isArray(data))
          return (Array.isArray(data) ? data : [])
            .filter(({ name }) => /\.ya?ml$/.test(name))
            .map(({ path, sha, size }) => ({ path, blob: sha, size }))
        })
        // This 404 means that the folder is missing: `use` has checked that the App is still installed.
        .catch(error => {
          if (error instanceof RequestError && error.status === 404) return []
          throw error
        }),
    workflowFile: (repository: string, path: string): Promise<string> =>
      credential.use(repository, (octokit, at) => readFile(octokit, { ...at, path })),
  }
}

const MAX_FILES = 20
const MAX_BYTES = 250_000
/** The minimum time between two reads of a repository's files. */
const REMEMBERED_MS = 300_000
const MAX_BLOBS = 1_000

/** Returns a file's text. Needs Contents: read. */
export async function readFile(
  octokit: Octokit,
  file: { owner: string; repo: string; path: string; ref?: string },
): Promise<string> {
  const { data } = await octokit.repos.getContent({ ...file, mediaType: { format: 'raw' } })
  return String(data)
}

type Types = ReturnType<typeof eventTypes>

/** Whether workflow files listen to a dispatch. `disabled`: the only file that listens. `unknown`: a file can't be read, there are too many files, or the request budget is used up. */
export type Listeners = 'found' | 'none' | 'no files' | 'unknown' | { disabled: string }

/** Creates a function that finds listeners and never throws. @param leave the number of requests to leave in the budget for more urgent work */
export function createFindListeners(
  github: WorkflowFileReader & Pick<RepositoryReader, 'workflows'>,
  budget: RequestBudget,
  clock: () => number,
  leave: number,
) {
  const blobs = new BoundedMap<string, Types>(MAX_BLOBS)
  const repositories = createTtlCache<{
    files: Promise<WorkflowFile[] | null>
    types: Map<string, Promise<Types>>
    listed?: Promise<ListedWorkflow[]>
  }>(REMEMBERED_MS, clock)

  async function readTypes(repository: string, { path, blob, size }: WorkflowFile): Promise<Types> {
    if (size > MAX_BYTES) return null
    try {
      const events = readEvents(await github.workflowFile(repository, path))
      const types = events && eventTypes(events)
      blobs.set(blob, types)
      return types
    } catch {
      return null
    }
  }

  return async (repository: string, eventType: string): Promise<Listeners> => {
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
    const listening = files.filter((_, i) => types[i] === 'all' || types[i]?.includes(eventType))
    if (listening.length === 0) return types.includes(null) ? 'unknown' : 'none'
    if (!known.listed && budget.take(1, leave)) known.listed = github.workflows(repository).catch(() => [])
    const listed = (await known.listed) ?? []
    const isDisabled = ({ path }: WorkflowFile) =>
      listed.some(({ file, isActive }) => !isActive && path === `${FOLDER}/${file}`)
    if (types.includes(null) || !listening.every(isDisabled)) return 'found'
    return { disabled: listening[0]!.path.slice(FOLDER.length + 1) }
  }
}

/**
 * Reads the inputs from the workflow file on a branch or tag. Needs Contents: read. Throws the errors of
 * `credential.use`.
 * @returns null if the file has no `workflow_dispatch`, or takes too long to parse
 */
export async function readWorkflowInputs(
  credential: Credential,
  { repository, workflow, ref }: { repository: string; workflow: string; ref: string },
): Promise<WorkflowInputs | null> {
  return credential.use(repository, async (octokit, at) => {
    const path = /^\d+$/.test(workflow)
      ? (await octokit.actions.getWorkflow({ ...at, workflow_id: Number(workflow) })).data.path
      : `.github/workflows/${workflow}`
    const text = await readFile(octokit, { ...at, path, ref })
    const events = readEvents(text)
    return events && inputsOf(events, text)
  })
}
