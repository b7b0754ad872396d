import { cleanText, parseJson } from '../../port/text.ts'
import { type Dispatched, namesOf } from '../../workflow-files/refusal.ts'
import {
  ENABLE,
  forbiddenHint,
  hiddenSentence,
  isProtection,
  type Listed,
  PROTECTION_HINT,
  type Refused,
} from './errors.ts'
import { MAX_LISTED } from './repository.ts'
import { MAX_MESSAGE, withoutValues } from './response.ts'

/** Returns the undeclared input names in GitHub's message; empty if the message is about something else. */
export function unexpectedInputs(message: string): string[] {
  const list = /^Unexpected inputs provided: (\[.*\])/s.exec(message)?.[1]
  const names = parseJson(list ?? '[]')
  return Array.isArray(names) ? names.filter(name => typeof name === 'string') : []
}

/** Returns the name of the missing required input; null if GitHub's message is about something else. */
export const missingInput = (message: string): string | null =>
  /^Required input '(.*)' not provided/s.exec(message)?.[1] ?? null

export const isUnknownRef = (message: string): boolean => /^No ref found for/.test(message)

/** Whether GitHub's message says that this field is unknown. Unlike a message about inputs, it starts with the field's name. */
export const isUnknownField = (message: string, field: string): boolean =>
  UNKNOWN_FIELD.exec(message)?.groups?.field === field

const UNKNOWN_FIELD =
  /^(?:Invalid request\.\s+)?(?:(?:Invalid|Unknown|Unexpected|Unpermitted|Unrecognized) (?:field|key|parameter|property|argument)s?:? )?["'`]?(?<field>\w+)\b/

const disabledSentence = ({ workflow, repository }: Pick<Dispatched, 'repository' | 'workflow'>) =>
  `Workflow ${workflow} in ${repository} is disabled: ${ENABLE}`

/** Patterns for the message of a 422, and the texts that users see instead. The texts omit the values that GitHub quotes. */
const UNPROCESSABLE: [RegExp, (dispatched: Dispatched & { name: string }) => string][] = [
  [
    /^Required input '(?<name>.*)' not provided/s,
    ({ workflow, repository, name }) =>
      `Workflow ${workflow} in ${repository} requires the input "${name}", which Port didn't send: add it to the inputs of the action in Port, or give it a default in the workflow.`,
  ],
  [
    /^Unexpected inputs provided: (?<name>.*)/s,
    ({ workflow, repository, ref, name }) =>
      `Workflow ${workflow} in ${repository} doesn't declare the inputs ${name} on "${ref}": declare them under "on: workflow_dispatch: inputs:", or remove them from the action in Port.`,
  ],
  [
    /^No ref found for/,
    ({ repository, ref }) =>
      `${repository} has no branch or tag "${ref}": correct the target's ref, or remove it to use the default branch.`,
  ],
  [
    /^Workflow does not have 'workflow_dispatch' trigger/,
    ({ workflow, repository, ref }) =>
      `Workflow ${workflow} in ${repository} has no trigger workflow_dispatch on "${ref}": add "workflow_dispatch:" to its "on:".`,
  ],
  [/on a disabled workflow/, disabledSentence],
  [
    /for input '(?<name>[^']*)' not in the list/,
    ({ workflow, repository, name }) =>
      `Workflow ${workflow} in ${repository} doesn't accept the value of its input "${name}": give the input in Port the options that the workflow lists.`,
  ],
  [
    /for input '(?<name>[^']*)'/,
    ({ workflow, repository, name }) =>
      `Workflow ${workflow} in ${repository} doesn't accept the value of its input "${name}": give the input in Port the type that the workflow declares.`,
  ],
  [
    /^(you may only|No more than|Invalid request\.\s+No more than) .*/s,
    ({ workflow, repository }) =>
      `Workflow ${workflow} in ${repository} gets more inputs than GitHub allows: send fewer inputs from Port, or group several inputs in an object.`,
  ],
  [
    /too (large|long)/,
    ({ workflow, repository }) =>
      `The inputs for workflow ${workflow} in ${repository} are too large: GitHub accepts at most 65,535 characters in total. Send less data from Port.`,
  ],
]

/** Explains in one sentence why GitHub rejected a `workflow_dispatch`. Omits the values of the inputs. */
export function workflowRefusal(
  [status, message, documentation]: Refused,
  dispatched: Dispatched & { listed?: Listed },
  sent: Record<string, string> = {},
): string {
  const { repository, workflow, ref, listed = null } = dispatched
  if (isProtection(message)) {
    return `GitHub doesn't let the relay start workflow ${workflow} in ${repository} (${status}): ${PROTECTION_HINT}.`
  }
  if (status === 403) {
    return `GitHub doesn't let the relay start workflow ${workflow} in ${repository} (403: ${message}): ${forbiddenHint(message, 'Actions: write', documentation)}`
  }
  if (status === 404) return notFound(dispatched, listed)
  if (status === 422) {
    for (const [pattern, sentence] of UNPROCESSABLE) {
      const match = pattern.exec(message)
      if (match) return sentence({ ...dispatched, name: cleanText(match.groups?.name ?? '') })
    }
  }
  const shown = cleanText(withoutValues(message, sent), MAX_MESSAGE) || 'no reason given'
  return `GitHub rejected the dispatch of workflow ${workflow} in ${repository} on "${ref}" (${status}: ${shown}).${documentation}`
}

function notFound({ repository, workflow }: Dispatched, listed: Listed): string {
  if (listed === 'hidden') return hiddenSentence(repository)
  const found = listed?.find(({ file, id }) => [file, String(id)].includes(workflow))
  if (found && !found.isActive) return disabledSentence({ repository, workflow })
  if (found)
    return `The relay's token or App can read workflow ${workflow} in ${repository}, but lacks Actions: write on the repository, so it can't start the workflow (404).`
  if (listed && listed.length < MAX_LISTED)
    return `${repository} has no workflow ${workflow}: add .github/workflows/${workflow} to its default branch, or correct the workflow's name in Port or in RELAY_ROUTES. Workflows of the repository: ${namesOf(listed.map(({ file }) => file)) || 'none'}.`
  return `GitHub finds no workflow ${workflow} in ${repository}: the repository doesn't exist, or .github/workflows on its default branch doesn't contain the file, or the relay's token lacks Actions: write on the repository.`
}
