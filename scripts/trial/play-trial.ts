import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isObject, type JsonObject } from '../../port/types.ts'
import { startGitHubApi } from '../../test/support/github-api.ts'
import { playWorkflow } from '../../test/support/player/play-workflow.ts'
import { startPortApi } from '../../test/support/port-api.ts'
import { findCredentials } from './find-credentials.ts'
import { placeActions } from './place-actions.ts'
import { readEvent, type TrialEvent } from './read-event.ts'
import { readTrialWorkflow, type TrialWorkflow } from './read-trial-workflow.ts'
import { showPlayed, showPort } from './show-trial.ts'

const USAGE = `npm run action -- --event FILE [--workflow FILE] [--type TYPE] [--secret NAME=VALUE] [--var NAME=VALUE]

  --event FILE         the body that Port sends, or a repository_dispatch event, as JSON
  --workflow FILE      the workflow to play; without it, a job that prints the action's outputs
  --type TYPE          the event type, where the relay's configuration sets it, not the body or its action
  --secret NAME=VALUE  a secret of the repository; may be repeated
  --var NAME=VALUE     a variable of the repository; may be repeated`

const REPOSITORY = 'you/your-repository'
/**
 * Plays one trial.
 *
 * @param args the command line
 * @param cancel cancels the workflow run, as the button on GitHub does
 * @returns the exit code
 * @throws Error with a sentence on what of the command line or the files is wrong
 */
export async function playTrial(
  args: string[],
  print: (line: string) => void,
  cancel?: AbortSignal,
): Promise<number> {
  const options = readOptions(args)
  if (!options) {
    print(USAGE)
    return 0
  }
  const event = readEvent(options.event)
  const found = await readTrialWorkflow(options.workflow)
  const type = chooseType(options.type, event, found)
  const credentials = findCredentials(found.yaml, options)

  const [port, github] = await Promise.all([startPortApi(credentials.port), startGitHubApi()])
  const folder = mkdtempSync(join(tmpdir(), 'action-'))
  try {
    github.addRepository(REPOSITORY)
    createRun(port, event)
    const { actions, leftOut } = placeActions(
      folder,
      found.workflow,
      port.url,
      credentials.byOidc ? port : null,
    )
    print(`Playing ${found.name}, started by repository_dispatch of type ${type}`)
    for (const note of [...event.notes, ...credentials.notes]) print(`  ${note}`)
    if (leftOut.length > 0) print(`  Left out, with empty outputs: ${leftOut.join(', ')}.`)
    const { vars, secrets } = credentials.given(port)
    const printed = new Set<string>()
    const onLeftOut = (what: string) => {
      if (!printed.has(what)) print(`  Left out: ${what}.`)
      printed.add(what)
    }
    const played = await playWorkflow({
      yaml: found.yaml,
      ...(found.file && { file: found.file }),
      repositoryRoot: found.root,
      event: { name: 'repository_dispatch', payload: { event_type: type, client_payload: event.payload } },
      repository: REPOSITORY,
      github,
      actions,
      vars: { PORT_API_URL: port.url, ...vars },
      secrets,
      env: { PORT_API_URL: port.url, TRIAL_REPOSITORY: found.root },
      signal: cancel,
      onLeftOut,
    })
    print('')
    showPlayed(played, print)
    showPort(port, event.payload, print)
    return played.conclusion === 'success' ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  }
}

/** Null where only help is asked for. */
function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  const texts = { type: 'string', multiple: true, default: [] as string[] } as const
  let values: ReturnType<typeof parse>
  const parse = () =>
    parseArgs({
      args,
      options: {
        event: text,
        workflow: text,
        type: text,
        secret: texts,
        var: texts,
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  try {
    values = parse()
  } catch (error) {
    throw new Error(`${(error as Error).message}\n\n${USAGE}`)
  }
  if (values.help) return null
  if (!values.event) throw new Error(`--event is missing.\n\n${USAGE}`)
  const { event, workflow, type } = values
  return { event, workflow, type, secrets: pairs(values.secret, 'secret'), vars: pairs(values.var, 'var') }
}

function pairs(given: string[], option: string): Record<string, string> {
  return Object.fromEntries(
    given.map(pair => {
      const at = pair.indexOf('=')
      // Never the value: it may be a secret.
      if (at < 1) throw new Error(`--${option} takes NAME=VALUE, with a name before the "=".`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** GitHub starts nothing for a type that a workflow does not list, and reports no error. */
function chooseType(given: string | undefined, event: TrialEvent, { name, types }: TrialWorkflow): string {
  const type = given ?? event.type ?? types[0] ?? 'port_action'
  if (types.length === 0 || types.includes(type)) return type
  throw new Error(
    `${name} does not listen to repository_dispatch of type ${type}, only to ${types.join(', ')}. The type is the ` +
      "identifier of the Port action, unless the webhook's address or the relay's routes set another: then name it by --type.",
  )
}

function createRun(port: Awaited<ReturnType<typeof startPortApi>>, { payload, body }: TrialEvent): void {
  const { run_id: id, port: about } = payload
  if (typeof id !== 'string' || !isObject(about)) return
  if (about.kind === 'node_run') port.createNodeRun({ id })
  else port.createRun({ id, properties: about.inputs as JsonObject, payload: { body } })
}
