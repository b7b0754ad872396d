import { cleanText } from '../port/text.ts'
import { nearestName } from './nearest-name.ts'

export type Dispatched = { repository: string; workflow: string; ref: string }

const MAX_NAMES = 10

/** Returns the names in quotes, each with the closest declared name. */
export function namesOf(names: string[], declared: string[] = []): string {
  // Names that are sent anyway aren't suggested.
  const free = declared.filter(name => !names.includes(name))
  const shown = names.slice(0, MAX_NAMES).map(name => {
    const near = nearestName(name.slice(0, 100), free)
    return `"${cleanText(name, 100)}"${near === null ? '' : ` (closest declared input: "${cleanText(near, 100)}")`}`
  })
  const more = names.length - shown.length
  return more > 0 ? `${shown.join(', ')}, and ${more} more` : shown.join(', ')
}

/** Explains that the workflow doesn't declare these inputs, and suggests three fixes. */
export function undeclaredSentence(
  { repository, workflow, ref }: Dispatched,
  names: string[],
  declared: string[],
): string {
  const [inputs, them, values] = names.length > 1 ? ['inputs', 'them', 'values'] : ['input', 'it', 'value']
  return `Workflow ${workflow} in ${repository} doesn't declare the ${inputs} ${namesOf(names, declared)} on "${ref}": declare ${them} under "on: workflow_dispatch: inputs:", or declare the input "port", which contains the ${values}, or remove ${them} from the Port action's body.`
}

export function tooLargeSentence(
  { repository, workflow }: Dispatched,
  { bytes, largest, lost }: { bytes: number; largest: string; lost: string[] },
): string {
  if (lost.length > 0) {
    const [inputs, them] = lost.length > 1 ? ['inputs', 'them'] : ['input', 'it']
    return `GitHub accepts at most 65,535 characters of inputs, so the input "port" of workflow ${workflow} in ${repository} has no room for the ${inputs} ${namesOf(lost)}, which the workflow doesn't declare. Declare ${them} in the workflow, send less data from Port, or set RELAY_PUBLIC_URL, so that the action can fetch ${them} from the relay.`
  }
  return `GitHub accepts at most 65,535 characters of inputs for a workflow (the relay counts bytes), and this invocation has ${bytes}. Send less data from Port: the largest input is "${cleanText(largest, 100)}".`
}
