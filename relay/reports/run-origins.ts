import type { RunReader } from '../github/read-runs.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'

/** What a workflow run has from its start on. */
export type RunOrigin = Pick<WorkflowRun, 'title' | 'createdAt'>

const MAX_RUNS = 1_000

/**
 * Reads the origin of a run, once for each run: it never changes.
 *
 * @returns a function that gives null where GitHub does not show the run, which is asked for again
 */
export function createRunOrigins(
  github: Pick<RunReader, 'run'>,
): (repository: string, runId: number) => Promise<RunOrigin | null> {
  const known = new Map<string, Promise<RunOrigin | null>>()

  return (repository, runId) => {
    const key = `${repository.toLowerCase()} ${runId}`
    const origin = known.get(key) ?? read(repository, runId, key)
    known.set(key, origin)
    const oldest = known.size > MAX_RUNS ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
    return origin
  }

  async function read(repository: string, runId: number, key: string): Promise<RunOrigin | null> {
    const answer = await github.run(repository, runId, null).catch(() => null)
    if (answer?.data) return { title: answer.data.title, createdAt: answer.data.createdAt }
    known.delete(key)
    return null
  }
}
