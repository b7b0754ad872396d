import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../port/types.ts'
import { startGitHubApi } from '../../test/support/github-api.ts'
import { playWorkflow } from '../../test/support/player/play-workflow.ts'
import { startPortApi } from '../../test/support/port-api.ts'
import { missingOutputs, missingPermissions } from './check-workflow.ts'
import { chooseStart } from './choose-start.ts'
import { findCredentials } from './find-credentials.ts'
import { placeActions } from './place-actions.ts'
import { readEvent, type TrialEvent } from './read-event.ts'
import { readPort } from './read-port.ts'
import { readTrialWorkflow } from './read-trial-workflow.ts'
import { relayEnd } from './relay-end.ts'
import { readPlayed, type Trial } from './trial.ts'

export { showTrial } from './show-trial.ts'

type Texts = Record<string, string>

export interface TrialOptions {
  /** The path of the event's file. */
  event: string
  workflow: string | undefined
  /** The event type. */
  type: string | undefined
  secrets: Texts
  vars: Texts
  /** Of actions that are left out, by `STEP.NAME`. */
  outputs: Texts
}

const REPOSITORY = 'you/your-repository'

/**
 * Plays one trial: a workflow on this machine, against stand-ins of Port and GitHub. Nothing leaves the machine but
 * what the workflow's own `run:` steps send.
 *
 * @param note a line on what is played and what is left out, before and while it is played
 * @param cancel cancels the workflow run, as the button on GitHub does
 * @throws Error with a sentence on what of the options or the files is wrong
 */
export async function playTrial(
  options: TrialOptions,
  note: (line: string) => void,
  cancel?: AbortSignal,
): Promise<Trial> {
  const notes: string[] = []
  const tell = (line: string) => {
    if (!notes.includes(line)) note(`  ${line}`)
    if (!notes.includes(line)) notes.push(line)
  }
  const event = readEvent(options.event)
  const found = await readTrialWorkflow(options.workflow)
  const start = chooseStart(options.type, event, found)
  const credentials = findCredentials(found.yaml, options)

  const [port, github] = await Promise.all([startPortApi(credentials.port), startGitHubApi()])
  const folder = mkdtempSync(join(tmpdir(), 'action-'))
  try {
    github.addRepository(REPOSITORY)
    createRun(port, event)
    const { actions, leftOut } = placeActions(folder, found, {
      portUrl: port.url,
      credentials: credentials.byOidc ? port : null,
      outputs: options.outputs,
    })
    note(`Playing ${found.name}, started by ${start.title}`)
    for (const line of [...event.notes, ...credentials.notes, ...leftOut, ...missingPermissions(found)])
      tell(line)
    const { vars, secrets } = credentials.given(port)
    const played = await playWorkflow({
      yaml: found.yaml,
      ...(found.file && { file: found.file }),
      repositoryRoot: found.root,
      event: start.event,
      repository: REPOSITORY,
      github,
      actions,
      vars: { PORT_API_URL: port.url, ...vars },
      secrets,
      env: { PORT_API_URL: port.url, TRIAL_REPOSITORY: found.root },
      signal: cancel,
      onLeftOut: what => tell(`Left out: ${what}.`),
    })
    for (const line of missingOutputs(found, played)) tell(line)
    const shown = readPort(port, event.payload)
    return {
      workflow: found.name,
      started: start.title,
      notes,
      ...readPlayed(played),
      port: shown,
      relay: shown?.isOpen ? relayEnd(played, REPOSITORY) : null,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  }
}

/** The run in Port. */
function createRun(port: Awaited<ReturnType<typeof startPortApi>>, { payload, body }: TrialEvent): void {
  const { run_id: id, port: about } = payload
  if (typeof id !== 'string' || !isObject(about)) return
  if (about.kind === 'node_run') port.createNodeRun({ id })
  else port.createRun({ id, properties: about.inputs as JsonObject, payload: { body } })
}
