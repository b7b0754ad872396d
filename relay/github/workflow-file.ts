import { parse } from 'yaml'
import { isObject, type JsonObject } from '../../port/types.ts'
import type { Credential } from './credential.ts'

/** The events of a workflow's text, with what it says of each; null for what is no workflow. */
export function readEvents(text: string): JsonObject | null {
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
 * @param maxLength a larger file isn't parsed: that takes time in which a relay does nothing else
 * @throws what `credential.use` throws
 */
export async function readDeclaredInputs(
  credential: Credential,
  { repository, workflow, ref }: { repository: string; workflow: string; ref: string },
  maxLength = Number.POSITIVE_INFINITY,
): Promise<JsonObject | null> {
  return credential.use(repository, async (octokit, at) => {
    const path = /^\d+$/.test(workflow)
      ? (await octokit.actions.getWorkflow({ ...at, workflow_id: Number(workflow) })).data.path
      : `.github/workflows/${workflow}`
    const file = { ...at, path, ref, mediaType: { format: 'raw' } }
    const { data } = await octokit.repos.getContent(file)
    const text = String(data)
    return text.length > maxLength ? null : declaredInputs(readEvents(text))
  })
}
