import { createPortClient, type PortClient, PortError, type Token } from '../../port/client/client.ts'
import type { ClientPayload } from '../../port/payload.ts'
import { isObject, type Json, type JsonObject, type RunState, type RunUpdate } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'
import { type Redact, redactJson } from '../secrets/redact.ts'
import { createLogSender } from '../steps/send.ts'
import type { RelayReporter } from './relay.ts'
import { createRetry, FINAL_EXTRA_MS, isUncertain, type Reporter } from './reporter.ts'

/** Returns why the action doesn't report this job; null if it reports. `notice`: the relay can't receive reports. `warning`: the author must change a setting. */
export function whyNoReport(
  inputs: Inputs,
  payload: ClientPayload,
  relay: RelayReporter | null = null,
): { level: 'info' | 'notice' | 'warning'; message: string } | null {
  if (inputs.report === 'off')
    return {
      level: 'info',
      message: "Nothing is reported to Port, because the action's report input is off.",
    }
  if (payload.run_id === null || payload.port.kind === 'none') {
    return { level: 'info', message: 'Nothing is reported to Port: the payload contains no Port run.' }
  }
  if (inputs.portClientSecret !== '' || relay) return null
  if (payload.port.relay === null) return { level: 'notice', message: NO_ADDRESS }
  return {
    level: 'warning',
    message: `This job isn't reported to Port: ${OIDC}, or set the inputs port-client-id and port-client-secret, or report: off.`,
  }
}

const NO_ADDRESS =
  'This job reports nothing to Port, because the relay has no address for reports (RELAY_PUBLIC_URL), and the job has no Port ' +
  'credentials (port-client-id and port-client-secret). From GitHub, the relay reads what reaches Port: link, attempt, result, failed ' +
  "steps with the end of their logs, waits, and approvals. What doesn't reach Port: the running step, $PORT_LOG, entities, outputs, " +
  'summary, and "conclusion" in $PORT_RUN.'

export const OIDC = 'give the job "permissions: id-token: write"'

/**
 * @param options.budgetMs the maximum waiting time between attempts, summed over all calls
 * @param options.redact applied to every text sent to Port, and to every error from Port
 * @param options.relay sends the reports; null if the reporter sends them directly to Port
 */
export function createReporter(
  runId: string,
  credentials: Pick<Inputs, 'portApiUrl' | 'portClientId' | 'portClientSecret'>,
  runner: Pick<Runner, 'fetch' | 'clock' | 'sleep'> & { core: Pick<Runner['core'], 'setSecret'> },
  options: { budgetMs: number; redact: Redact; relay?: RelayReporter | null; token?: Token | null },
): Reporter {
  const { clock, sleep, fetch, core } = runner
  const { budgetMs, redact, relay } = options
  const deadline = clock() + budgetMs
  const late = () => clock() > deadline
  let client: PortClient | null = null
  const sender = relay ?? openDirect()
  const sendLog = createLogSender(sender.log, late)
  return {
    ...sender,
    late,
    update: async update => sender.update(redactUpdate(update, redact)),
    log: async lines => sendLog(lines.map(line => ({ ...line, message: lastText(redact(line.message)) }))),
    upsertEntity: async (blueprint, entity) => sender.upsertEntity(blueprint, redactEntity(entity, redact)),
    async deleteEntity(blueprint, identifier) {
      refuseSecret('identifier', identifier, redact)
      await sender.deleteEntity(blueprint, identifier)
    },
    isDeferred: Boolean(relay),
    token: () => client?.token() ?? null,
  }

  function openDirect(): Omit<RelayReporter, 'start' | 'inputs' | 'access'> {
    const retry = createRetry({ budgetMs, clock, sleep })
    const port = createPortClient({
      apiUrl: credentials.portApiUrl,
      clientId: credentials.portClientId,
      clientSecret: credentials.portClientSecret,
      ...{ fetch, clock, redact, timeoutMs: 10_000, onToken: core.setSecret, token: options.token ?? null },
      settings: { credentials: 'port-client-id and port-client-secret', apiUrl: 'port-api-url' },
    })
    client = port
    const run = port.run(runId)
    const tied = run.kind === 'action_run' ? runId : null
    let reading: Promise<RunState> | null = null
    return {
      prepare: () => port.authorize().catch(() => {}),
      read: () => (reading ??= retry(() => run.read())),
      update: update => retry(() => run.update(update), { extraMs: update.conclusion ? FINAL_EXTRA_MS : 0 }),
      async log(batch) {
        // The token is requested first, so that a failed token request doesn't count as a lost response.
        await retry(() => port.authorize())
        await retry(() => run.log(batch), { again: error => !isUncertain(error) })
      },
      upsertEntity: (blueprint, entity) => retry(() => port.upsertEntity(blueprint, entity, tied)),
      deleteEntity: (blueprint, identifier) => retry(() => port.deleteEntity(blueprint, identifier)),
    }
  }
}

/** Returns the text that a terminal would show. A progress bar uses carriage returns to overwrite the earlier texts of a line. */
const lastText = (line: string) => line.split('\r').findLast(text => text.trim() !== '') ?? ''

/** @throws PortError if a secret is in an identifier or a property name of the entity */
function redactEntity(entity: JsonObject, redact: Redact): JsonObject {
  const sent = redactJson(entity, redact) as JsonObject
  for (const name of ['identifier', 'relations']) refuseSecret(name, entity[name], redact)
  refuseSecret('name of a property', namesIn(entity), redact)
  return sent
}

const namesIn = (value: Json): string[] => {
  if (Array.isArray(value)) return value.flatMap(namesIn)
  return isObject(value) ? Object.entries(value).flatMap(([name, each]) => [name, ...namesIn(each)]) : []
}

function refuseSecret(name: string, value: Json | undefined, redact: Redact): void {
  if (value === undefined || JSON.stringify(redactJson(value, redact)) === JSON.stringify(value)) return
  throw new PortError(
    'refused',
    `The ${name} of an entity contains a secret, and secrets aren't sent to Port: use another value, or remove the secret from the input mask.`,
  )
}

function redactUpdate(update: RunUpdate, redact: Redact): RunUpdate {
  const { conclusion, statusLabel, summary, link, job } = update
  return {
    ...update,
    // Omits links with a secret, but never the first link, which is the workflow run's.
    ...(link !== undefined && { link: link.filter((each, i) => i === 0 || redact(each) === each) }),
    ...(statusLabel !== undefined && !conclusion && { statusLabel: redact(statusLabel) }),
    ...(summary !== undefined && { summary: redact(summary) }),
    ...(job && { job: { ...job, name: redact(job.name) } }),
  }
}
