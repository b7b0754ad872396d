import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { cleanLine, trimEnd } from '../port/text.ts'
import { isRepository } from '../relay/config/routes.ts'
import { applyFiles, generateFile } from './apply.ts'
import { choice, defineCommand, type Env, flag, text, UsageError } from './command.ts'
import { toPortWorkflow } from './generate/port-workflow.ts'

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
    agent: flag("let Port's agent deliver the webhook to --relay, an address inside your network"),
    repository: text(
      'OWNER/NAME',
      "the repository in the relay's address; by default that of the files, see below",
    ),
    event: choice('EVENT', ['workflow_dispatch', 'repository_dispatch'], "the workflow's trigger to use"),
    identifier: text('NAME', "the action's identifier"),
    blueprint: text('NAME', "the action's blueprint"),
    operation: choice('NAME', OPERATIONS, "the action's operation"),
    check: flag('compare the definitions in Port with the files; exit code 1 if they differ'),
    apply: flag('create or update the definitions in Port'),
    'allow-invalid': flag("with --check or --apply, use workflows that GitHub's parser rejects"),
    yes: flag('with --apply, write without asking'),
    json: flag('print JSON: file, format, content and notes, or the result of --check or --apply'),
  },
  details: `FILE is a workflow of GitHub Actions; - is stdin. --check and --apply accept several files and folders, and skip
workflows that Port can't start. Both need PORT_CLIENT_ID and PORT_CLIENT_SECRET. Without --format, an existing action
or workflow in Port keeps its format. Without --repository, the repository is GITHUB_REPOSITORY, or otherwise that of
the Git remote origin, if the clone has no other remote on GitHub.`,
  async run({ env, values, positionals: files, print, note, ask }) {
    const [file] = files
    if (!file) throw new UsageError('Specify a workflow file: generate FILE.')
    const publicUrl = relayOf(env.RELAY_PUBLIC_URL || undefined)
    const relay = relayOf(values.relay) ?? publicUrl
    if (values.agent && !values.relay)
      throw new UsageError(
        "--agent needs the relay's address inside the agent's network: --relay http://relay:8080.",
      )
    const { repository, from } = findRepository(values.repository, env, files)
    const options = { ...values, relay, repository, ...(values.agent && { publicUrl }) }
    const { check = false, apply = false, yes = false, json = false, format } = values
    if (check && apply) throw new UsageError('Choose --check or --apply.')
    if (check || apply)
      return applyFiles({ env, print, note, ask, paths: files, from, format, check, yes, json }, options)
    if (files.length > 1) throw new UsageError('Several files need --check or --apply.')
    const { action, notes, rejection } = await generateFile(file, options)
    if (rejection !== null) notes.unshift(rejection)
    const made = format === 'workflow' ? toPortWorkflow(action) : { workflow: action, notes: [] }
    const content = `${JSON.stringify(made.workflow, null, 2)}\n`
    notes.push(...made.notes)
    const name = `${action.identifier.replace(/[^\w.-]+/g, '_')}.json`
    if (json) return void print(JSON.stringify({ file: name, format: format ?? 'action', content, notes }))
    for (const sentence of notes) note(cleanLine(sentence))
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

/** Returns the repository of the files, and the setting or remote that names it. */
function findRepository(given: string | undefined, env: Env, files: string[]) {
  const named = given ?? (env.GITHUB_REPOSITORY || undefined)
  if (named !== undefined && !isRepository(named)) throw new UsageError('--repository must be OWNER/NAME.')
  const origins = named === undefined ? new Set(files.map(file => originOf(file, env))) : []
  const [repository = named, ...others] = origins
  if (others.length > 0) return { repository: undefined, from: '' }
  return { repository, from: given ? '--repository' : named ? 'GITHUB_REPOSITORY' : 'the Git remote origin' }
}

/** Returns the repository of `origin` if the clone that contains the file has no other remote on GitHub. */
function originOf(file: string, env: Env): string | undefined {
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory()
  const args = ['-C', isFolder ? file : dirname(file), 'remote', '--verbose']
  let remotes = ''
  try {
    remotes = execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    // Git isn't installed, or the file isn't in a clone.
  }
  const server = URL.parse(env.GITHUB_API_URL ?? '')?.hostname
  const found = remotes.split('\n').flatMap(line => {
    const [, name, host, repository] = FETCHED.exec(line) ?? []
    return name && (/(^|\.)(github|ghe)\.com$/i.test(host!) || host === server) ? { name, repository } : []
  })
  const [origin] = found
  return found.length === 1 && origin!.name === 'origin' && isRepository(origin!.repository!)
    ? origin!.repository
    : undefined
}

/** A remote's name, and the host and the repository in its URL: `https://HOST/OWNER/NAME.git` or `git@HOST:OWNER/NAME.git`. */
const FETCHED = /^(\S+)\t(?:\w+:\/\/)?(?:[^@/\s]*@)?([^:/\s]+)(?::\d+)?[:/](\S+?)(?:\.git)?\/? \(fetch\)/
