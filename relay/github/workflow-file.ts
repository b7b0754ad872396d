import { parse } from 'yaml'
import { isObject, type JsonObject } from '../../port/types.ts'
import { BOUNDS } from '../config/bounds.ts'
import type { Credential } from './credential.ts'

/** The events of a workflow's text, with what it says of each; null for what is no workflow, or too large to read at once. */
export function readEvents(text: string): JsonObject | null {
  if (text.length > BOUNDS.workflowFile.value) return null
  try {
    const { on } = parse(text) as { on: unknown }
    if (isObject(on)) return on
    return Object.fromEntries([on].flat().map(event => [String(event), null]))
  } catch {
    return null
  }
}

/** What a workflow with these events declares for `workflow_dispatch`, by name; null if it doesn't have this trigger. */
export function declaredInputs(events: JsonObject | null): JsonObject | null {
  if (!events || !('workflow_dispatch' in events)) return null
  const { inputs } = isObject(events.workflow_dispatch) ? events.workflow_dispatch : {}
  return isObject(inputs) ? inputs : {}
}

/**
 * Reads them from the file on a branch or tag. That needs Contents: read.
 *
 * @throws what `credential.use` throws
 */
export async function readDeclaredInputs(
  credential: Credential,
  { repository, workflow, ref }: { repository: string; workflow: string; ref: string },
): Promise<JsonObject | null> {
  return credential.use(repository, async (octokit, at) => {
    const path = /^\d+$/.test(workflow)
      ? (await octokit.actions.getWorkflow({ ...at, workflow_id: Number(workflow) })).data.path
      : `.github/workflows/${workflow}`
    const file = { ...at, path, ref, mediaType: { format: 'raw' } }
    const { data } = await octokit.repos.getContent(file)
    return declaredInputs(readEvents(String(data)))
  })
}
