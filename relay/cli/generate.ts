import { trimEnd } from '../../port/text.ts'
import { toPortWorkflow } from '../../tools/generate/port-workflow.ts'
import { isRepository } from '../config/routes.ts'
import { applyFiles, generateFile } from './apply.ts'
import { choice, defineCommand, flag, text, UsageError } from './command.ts'

export const OPERATIONS = ['CREATE', 'DAY-2', 'DELETE'] as const

export const FORMAT_OPTION = choice(
  'FORMAT',
  ['action', 'workflow'],
  'a Port action (the default) or a Port workflow',
)

export const generate = defineCommand({
  name: 'generate',
  summary: 'Generates the Port action, or the Port workflow, that starts a GitHub workflow.',
  positionals: ['FILE…'],
  options: {
    format: FORMAT_OPTION,
    approval: flag('require an approval in Port before the run starts'),
    relay: text('URL', "the relay's address in the action; RELAY_PUBLIC_URL by default"),
    repository: text('OWNER/NAME', "the repository in the relay's address; GITHUB_REPOSITORY by default"),
    event: choice('EVENT', ['workflow_dispatch', 'repository_dispatch'], "the workflow's trigger to use"),
    identifier: text('NAME', "the action's identifier"),
    blueprint: text('NAME', "the action's blueprint"),
    operation: choice('NAME', OPERATIONS, "the action's operation"),
    check: flag('compare the definitions in Port with the files; exit code 1 if they differ'),
    apply: flag('create or update the definitions in Port'),
    yes: flag('with --apply, write without asking'),
    json: flag('print JSON: file, format, content and notes, or the result of --check or --apply'),
  },
  details: `FILE is a workflow of GitHub Actions; - is stdin. --check and --apply accept several files and folders, and skip
workflows that Port can't start. Both need PORT_CLIENT_ID and PORT_CLIENT_SECRET. Without --format, an existing action
or workflow in Port keeps its format.`,
  async run({ env, values, positionals: files, print, note, ask }) {
    const [file] = files
    if (!file) throw new UsageError('Specify a workflow file: generate FILE.')
    const options = {
      ...values,
      relay: relayOf(values.relay ?? (env.RELAY_PUBLIC_URL || undefined)),
      repository: repositoryOf(values.repository ?? (env.GITHUB_REPOSITORY || undefined)),
    }
    const { check = false, apply = false, yes = false, json = false, format } = values
    if (check && apply) throw new UsageError('Choose --check or --apply.')
    if (check || apply)
      return applyFiles({ env, print, note, ask, paths: files, format, check, yes, json }, options)
    if (files.length > 1) throw new UsageError('Several files need --check or --apply.')
    const { action, notes } = generateFile(file, options)
    const made = format === 'workflow' ? toPortWorkflow(action) : { workflow: action, notes: [] }
    const content = `${JSON.stringify(made.workflow, null, 2)}\n`
    notes.push(...made.notes)
    const name = `${action.identifier.replace(/[^\w.-]+/g, '_')}.json`
    if (json) return void print(JSON.stringify({ file: name, format: format ?? 'action', content, notes }))
    for (const sentence of notes) note(sentence)
    print(content.trimEnd())
  },
})

export function relayOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  const url = /^https?:\/\//i.test(given) ? URL.parse(given) : null
  if (!url || url.search || url.hash)
    throw new UsageError(`--relay ${JSON.stringify(given)} must be an http(s) URL.`)
  return trimEnd(url.href, '/').replace(/\/webhook$/, '')
}

function repositoryOf(given: string | undefined): string | undefined {
  if (given !== undefined && !isRepository(given)) throw new UsageError('--repository must be OWNER/NAME.')
  return given
}
