import { tmpdir } from 'node:os'
import { stringify } from 'yaml'
import type { FakeServer, ReceivedRequest } from '../../simulator/http-server.ts'
import type { SimulatedJob, SimulatedRun, SimulatedStep } from '../../simulator/runner/types.ts'

/** The servers that a run sends requests to, by the names that replace their addresses. */
type Services = Partial<Record<'port' | 'relay' | 'issuer' | 'github', FakeServer>>

interface Options {
  /** Whether the job waits for the progress reporter. Requests between main and post aren't shown otherwise. */
  progress?: boolean
  /** Whether outputs, environment, state, and summary are shown too. */
  whole?: boolean
}

/**
 * Returns a simulated run as YAML: each job's steps, the output of the action's steps, and every request of the action,
 * under the step that was running. Replaces only the values that differ between runs.
 */
export function transcript(
  simulated: SimulatedRun,
  { port, relay, issuer, github }: Services,
  { progress = false, whole = false }: Options = {},
): string {
  const services = { port, relay, issuer, github }
  const run = {
    run: simulated.title,
    conclusion: simulated.conclusion,
    jobs: simulated.jobs.map(job => showJob(job, whole)),
    requests: simulated.jobs.flatMap(job => showRequests(job, services, progress)),
  }
  return stringify(mapTexts(run, createNormalize(simulated, services)), {
    ...{ lineWidth: 0, blockQuote: 'literal', aliasDuplicateObjects: false },
  })
}

const showJob = ({ name, conclusion, outputs, orphans, steps }: SimulatedJob, whole: boolean) => ({
  job: name,
  conclusion,
  ...(Object.keys(outputs).length > 0 && { outputs }),
  // Every transcript lists processes that the action leaves behind.
  ...(orphans.length > 0 && { orphans: orphans.map(({ command }) => command) }),
  steps: steps.map(step => showStep(step, whole)),
})

function showStep(step: SimulatedStep, whole: boolean): unknown {
  const { name, kind, outcome, conclusion, exitCode, stdout, stderr } = step
  const { outputs, env, path, state, summary } = step
  const end = { outcome, ...(conclusion !== outcome && { conclusion }) }
  if (!isOwn(step)) return { step: name, ...end }
  const printed = { exitCode, stdout, ...(stderr !== '' && { stderr }) }
  return { [kind]: name, ...end, ...printed, ...(whole && { outputs, env, path, state, summary }) }
}

const isOwn = ({ kind }: SimulatedStep) => kind === 'main' || kind === 'post'

/** Shows the action's requests during each of its steps, and between main and post. */
function showRequests({ name: job, steps }: SimulatedJob, services: Services, progress: boolean): unknown[] {
  const own = steps.filter(isOwn)
  const sections = own.flatMap(({ kind, name, number, startedAt, completedAt }, index) => {
    if (startedAt === null) return []
    const where = `${job}, ${number === 0 ? name : `step ${number}`}`
    const [from, until] = [Date.parse(startedAt), Date.parse(completedAt!)]
    const next = own[index + 1]?.startedAt ?? completedAt!
    const during = [{ by: `${kind}: ${where}`, ...requestsOf(services, from, until) }]
    if (!progress || kind !== 'main') return during
    const meanwhile = requestsOf(services, until + 1, Date.parse(next) - 1)
    return [...during, { by: `while the steps run: ${where}`, ...meanwhile }]
  })
  return sections.filter(section => Object.keys(section).length > 1)
}

const requestsOf = (services: Services, from: number, until: number) =>
  Object.fromEntries(
    Object.entries(services).flatMap(([name, server]) => {
      const sent = (server?.requests ?? []).filter(({ at }) => at >= from && at <= until)
      const shown = sent.filter(isOfAction).map(showRequest).sort(byOrder)
      return shown.length > 0 ? [[name, name === 'github' ? once(shown) : shown]] : []
    }),
  )

const isOfAction = ({ headers }: ReceivedRequest) => headers['user-agent']?.startsWith('port-webhook-action')

const showRequest = ({ method, path, body, status }: ReceivedRequest) => ({
  call: `${method} ${path}`,
  ...(body !== undefined && { body }),
  response: status ?? 'none',
})
type Shown = ReturnType<typeof showRequest>

/** Main sends the update and the first log line concurrently, and the progress reporter sends labels and lines. */
const byOrder = (a: Shown, b: Shown) => Number(isLog(a)) - Number(isLog(b))
const isLog = ({ call, body }: Shown) => call.endsWith('/logs') && !/[✓✗] Job/.test(JSON.stringify(body))

/** The action requests the steps repeatedly, so the number of requests depends on how long the steps take. */
const once = (requests: Shown[]) =>
  requests.filter(({ call }, index) => requests.findIndex(other => other.call === call) === index)

/** Replaces values that differ between runs. */
function createNormalize({ options }: SimulatedRun, services: Services) {
  const { secrets, vars, oidc } = options
  const { PORT_CLIENT_ID } = vars ?? {}
  const named = { ...secrets, PORT_CLIENT_ID, ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc?.requestToken }
  const values: [string | RegExp, string][] = [
    ...Object.entries(named).map(([name, value]): [string, string] => [value || name, `<${name}>`]),
    ...Object.entries(services).flatMap(([name, server]) => {
      const { host } = new URL(server?.origin ?? 'http://none.test')
      return [host, encodeURIComponent(host)].map((text): [string, string] => [text, `${name}.test`])
    }),
    // The simulator's folder, created with mkdtemp.
    [new RegExp(`${tmpdir()}/played-run-\\w{6}`, 'g'), '/runner'],
    // Tokens of Port, of GitHub's OIDC issuer, and of the relay, as JWT.
    [/\bey[\w-]+\.ey[\w-]+\.[\w-]+/g, '<token>'],
    // UUIDs: version 7 from the relay, version 4 from the action.
    [/\b[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[\da-f]{4}-[\da-f]{12}\b/g, '<delivery>'],
    [/\b[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}\b/g, '<sender>'],
    // In the state that main saves for post.
    [/"(startedAt|expiresAt)":\d{13}\b/g, '"$1":<now>'],
    // In log lines and in the summary's table.
    [/(?<=\(|after |\| )[\d.]+ s\b/g, 'N s'],
  ]
  return (text: string) => values.reduce((rest, [value, name]) => rest.replaceAll(value, name), text)
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map(item => mapTexts(item, map))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, map)]))
}
