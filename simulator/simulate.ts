import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClientPayload, readClientPayload } from '../port/payload.ts'
import { type Invocation, isObject, type JsonObject } from '../port/types.ts'
import { fitInputs, offeredNames, offerInputs } from '../workflow-files/dispatch-inputs.ts'
import { readsOf } from '../workflow-files/reads.ts'
import { tooLargeSentence, undeclaredSentence } from '../workflow-files/refusal.ts'
import { findCredentials, placeActions } from './actions.ts'
import { readEvent, type SimulationEvent } from './event.ts'
import { startGitHubApi } from './github/github.ts'
import { startPortApi } from './port/port.ts'
import { runWorkflow } from './runner/workflow.ts'
import { type RelayDecisions, readPort, readResult, type Simulation } from './simulation.ts'
import {
  missingOutputs,
  missingPermissions,
  readSimulatedWorkflow,
  type SimulationWorkflow,
} from './workflow-file.ts'

export { showSimulation } from './show.ts'

type Texts = Record<string, string>

export interface SimulationOptions {
  /** The event file's path. */
  event: string
  workflow: string | undefined
  /** The event type. */
  type: string | undefined
  secrets: Texts
  vars: Texts
  /** Outputs of omitted actions, by `STEP.NAME`. */
  outputs: Texts
}

const REPOSITORY = 'you/your-repository'

/**
 * Runs a workflow on this machine against the fake Port and the fake GitHub. No data leaves the machine, unless the
 * workflow's own `run:` steps send it.
 *
 * @param relay decides what the relay would do
 * @param note called with a line about what runs and what is omitted
 * @param cancel cancels the workflow run, like GitHub's cancel button
 * @throws Error with a message about an invalid option or file
 */
export async function simulate(
  options: SimulationOptions,
  relay: RelayDecisions,
  note: (line: string) => void,
  cancel?: AbortSignal,
): Promise<Simulation> {
  const notes: string[] = []
  const tell = (line: string) => {
    if (!notes.includes(line)) note(`  ${line}`)
    if (!notes.includes(line)) notes.push(line)
  }
  const event = readEvent(options.event)
  const found = await readSimulatedWorkflow(options.workflow)
  const start = chooseStart(options.type, event, found, relay)
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
    note(`Simulating ${found.name}, started by ${start.title}`)
    for (const line of [...event.notes, ...credentials.notes, ...leftOut, ...missingPermissions(found)])
      tell(line)
    const { vars, secrets } = credentials.given(port)
    const simulated = await runWorkflow({
      yaml: found.yaml,
      ...(found.file && { file: found.file }),
      repositoryRoot: found.root,
      event: start.event,
      repository: REPOSITORY,
      github,
      actions,
      vars: { PORT_API_URL: port.url, ...vars },
      secrets,
      env: { PORT_API_URL: port.url, SIMULATION_REPOSITORY: found.root },
      signal: cancel,
      onLeftOut: what => tell(`Left out: ${what}.`),
    })
    for (const line of missingOutputs(found, simulated)) tell(line)
    const shown = readPort(port, event.payload)
    return {
      workflow: found.name,
      started: start.title,
      notes,
      ...readResult(simulated),
      port: shown,
      relay: shown?.isOpen ? relay.resultOf(simulated, REPOSITORY) : null,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  }
}

/** Creates the run in the fake Port. */
function createRun(port: Awaited<ReturnType<typeof startPortApi>>, { payload, body }: SimulationEvent): void {
  const { run_id: id, port: about } = payload
  if (typeof id !== 'string' || !isObject(about)) return
  if (about.kind === 'node_run') port.createNodeRun({ id })
  else port.createRun({ id, properties: about.inputs as JsonObject, payload: { body } })
}

/** The event that starts a workflow. */
interface Start {
  event: { name: string; payload: JsonObject }
  /** The event's name in messages. */
  title: string
}

/**
 * Chooses the dispatch that the relay would send: `workflow_dispatch` if the workflow has no other trigger that the
 * relay uses, or if the body names a workflow.
 *
 * @param type the `--type` option
 * @throws Error if nothing would start, for which GitHub would report no error
 */
function chooseStart(
  type: string | undefined,
  event: SimulationEvent,
  workflow: SimulationWorkflow,
  relay: RelayDecisions,
): Start {
  const { name, types, inputs } = workflow
  if (inputs && (!types || (event.namesWorkflow && type === undefined))) {
    if (type !== undefined)
      throw new Error(`${name} listens to workflow_dispatch, which has no type: omit --type.`)
    return {
      title: 'workflow_dispatch',
      event: { name: 'workflow_dispatch', payload: { inputs: given(event, workflow, inputs) } },
    }
  }
  const chosen = type ?? event.type ?? types?.[0] ?? 'port_action'
  if (types && types.length > 0 && !types.includes(chosen)) {
    throw new Error(
      `${name} doesn't listen to repository_dispatch of type ${chosen}, only to ${types.join(', ')}. The type is the ` +
        "identifier of the Port action, unless the webhook's URL or the relay's routes set another type. In that case, " +
        `pass the type with --type. ${relay.nothingStarts(chosen)}`,
    )
  }
  return {
    title: `repository_dispatch of type ${chosen}`,
    event: { name: 'repository_dispatch', payload: { event_type: chosen, client_payload: event.payload } },
  }
}

/**
 * Returns the inputs as the relay sends them after GitHub has reported undeclared inputs.
 *
 * @throws Error with the relay's message if the relay would send nothing
 */
function given(
  event: SimulationEvent,
  { name, yaml }: SimulationWorkflow,
  declared: string[],
): Record<string, string> {
  const payload = readClientPayload(event.payload) as ClientPayload
  const { run_id: runId, action, port } = payload
  const invocation: Invocation = event.invocation ?? {
    ...port,
    ...{ runId, action, runIdFrom: 'body', github: null },
  }
  const offer = offerInputs(invocation, payload, readsOf(yaml, declared))
  const fitted = fitInputs(offer, new Set(offeredNames(offer).filter(each => !declared.includes(each))))
  if ('inputs' in fitted) return fitted.inputs
  const dispatched = { repository: 'this folder', workflow: name, ref: 'main' }
  throw new Error(
    'undeclared' in fitted
      ? undeclaredSentence(dispatched, fitted.undeclared, declared)
      : tooLargeSentence(dispatched, fitted.tooLarge),
  )
}
