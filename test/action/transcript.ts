import { tmpdir } from 'node:os'
import { stringify } from 'yaml'
import type { FakeServer, ReceivedRequest } from '../../tools/simulator/http-server.ts'
import type { SimulatedJob, SimulatedRun, SimulatedStep } from '../../tools/simulator/runner/types.ts'

/** The servers that a run sends requests to, by the names that replace their addresses. */
interface Services {
  port: FakeServer
  github: FakeServer
}

interface Options {
  /** The relay through which the job reports. The relay's own requests vary in time and are not shown. */
  through?: { relay: FakeServer; issuer: FakeServer }
  /**
   * Whether the job waits for the progress reporter, which first sends after 1.5 s. Other jobs finish earlier unless
   * the machine is slow, so their later requests are not shown.
   */
  progress?: boolean
  /** Whether outputs, environment, state, and summary are shown too. */
  whole?: boolean
}

/**
 * Returns a simulated run as YAML: each job's steps, the output of the action's steps, and every request to Port and
 * GitHub, under the step that was running. Replaces only values that differ between runs: see `createNormalize`.
 */
export function transcript(
  simulated: SimulatedRun,
  { port, github }: Services,
  { through, progress = false, whole = false }: Options = {},
): string {
  const normalize = createNormalize(simulated, { port, github, ...through })
  const services: Record<string, Received> = through
    ? { relay: through.relay, issuer: ofAction(through.issuer), github: ofAction(github) }
    : { port, github }
  const run = {
    run: simulated.title,
    conclusion: simulated.conclusion,
    jobs: simulated.jobs.map(job => showJob(job, whole)),
    requests: showRequests(simulated, services, progress, normalize),
  }
  return stringify(mapTexts(run, normalize), { lineWidth: 0, blockQuote: 'literal' })
}

type Received = Pick<FakeServer, 'requests'>

/** Returns only the action's requests. */
const ofAction = ({ requests }: Received): Received => ({
  requests: requests.filter(({ headers }) => headers['user-agent']?.startsWith('port-webhook-action')),
})

const showJob = ({ name, conclusion, outputs, orphans, steps }: SimulatedJob, whole: boolean) => ({
  job: name,
  conclusion,
  ...(Object.keys(outputs).length > 0 && { outputs }),
  // Every transcript lists processes that the action leaves behind.
  ...(orphans.length > 0 && { orphans: orphans.map(({ command }) => command) }),
  steps: steps.map(step => showStep(step, whole)),
})

function showStep(step: SimulatedStep, whole: boolean): unknown {
  const showAll = (steps: SimulatedStep[]) => steps.map(each => showStep(each, whole))
  const { name, kind, outcome, conclusion, exitCode, stdout, stderr } = step
  const { outputs, env, path, state, summary, steps } = step
  const end = { outcome, ...(conclusion !== outcome && { conclusion }) }
  if (kind === 'composite') return { composite: name, ...end, outputs, steps: showAll(steps) }
  if (steps.length > 0) return { [kind]: name, ...end, steps: showAll(steps) }
  if (!isOwn(step)) return { step: name, ...end }
  const printed = { exitCode, stdout, ...(stderr !== '' && { stderr }) }
  return { [kind]: name, ...end, ...printed, ...(whole && { outputs, env, path, state, summary }) }
}

const isOwn = ({ kind, steps }: SimulatedStep) => kind === 'main' || (kind === 'post' && steps.length === 0)

/** The time from which requests are attributed to `by`. */
interface Moment {
  by: string
  from: number
  order: (requests: ShownRequest[]) => ShownRequest[]
}

interface ShownRequest {
  call: string
  body?: unknown
  response: number | 'none'
}

/** The requests that each part of the run made, if any. */
function showRequests(
  simulated: SimulatedRun,
  services: Record<string, Received>,
  progress: boolean,
  normalize: (text: string) => string,
): unknown {
  const moments = momentsOf(simulated)
  const endOf = (index: number) => moments[index + 1]?.from ?? Number.POSITIVE_INFINITY
  const sections = moments.map(({ by, from, order }, index) => {
    const silent = by.startsWith(MEANWHILE) && !progress
    const until = Math.min(endOf(index), silent ? from + SILENT_MS : Number.POSITIVE_INFINITY)
    const shown = Object.entries(services).map(([name, { requests }]) => {
      const during = requests.filter(({ at }) => at >= from && at < until)
      const shown = order(during.map(each => showRequest(each, normalize)))
      return [name, name === 'github' ? once(shown) : shown] as const
    })
    return { by, shown }
  })
  return sections
    .filter(({ shown }) => shown.some(([, requests]) => requests.length > 0))
    .map(({ by, shown }) => ({ by, ...Object.fromEntries(shown) }))
}

const showRequest = (
  { method, path, body, status }: ReceivedRequest,
  normalize: (text: string) => string,
): ShownRequest => ({
  call: `${method} ${path}`,
  ...(body !== undefined && { body: mapTexts(body, normalize) }),
  response: status ?? 'none',
})

/** The action requests the steps repeatedly, so the number of requests depends on how long the steps take. */
const once = (requests: ShownRequest[]) =>
  requests.filter(({ call }, index) => requests.findIndex(other => other.call === call) === index)

/** Main sends the update and the first log line concurrently. The update is shown first. */
function updateFirst(requests: ShownRequest[]): ShownRequest[] {
  const shown = [...requests]
  for (let index = 1; index < shown.length; index++) {
    const [log, update] = [shown[index - 1]!, shown[index]!]
    const isStart = JSON.stringify(log.body ?? '').includes('Workflow run started')
    if (isStart && update.call.startsWith('PATCH')) shown.splice(index - 1, 2, update, log)
  }
  return shown
}

/** The progress reporter sends labels and lines independently of each other. Only requests of one kind are ordered. */
const byCall = (requests: ShownRequest[]) =>
  requests.toSorted((a, b) => (a.call < b.call ? -1 : +(a.call > b.call)))

/** Parallel jobs run independently of each other. */
const byText = (requests: ShownRequest[]) => {
  const texts = new Map(requests.map(request => [request, JSON.stringify(request)]))
  return requests.toSorted((a, b) => (texts.get(a)! < texts.get(b)! ? -1 : 1))
}

const MEANWHILE = 'while the steps run: '
const SILENT_MS = 1_400

function momentsOf({ jobs }: SimulatedRun): Moment[] {
  const moments: Moment[] = [{ by: 'before any job', from: 0, order: byText }]
  for (const group of sideBySide(jobs)) {
    const [job, ...others] = group
    if (others.length > 0) {
      const names = jobs.filter(each => group.includes(each)).map(({ name }) => name)
      const by = `side by side: ${names.join(', ')}`
      moments.push({ by, from: Date.parse(job!.startedAt!), order: byText })
      continue
    }
    const own = job!.steps.flatMap(step => [step, ...step.steps]).filter(isOwn)
    for (const { kind, number, name, startedAt, completedAt } of own) {
      if (startedAt === null) continue
      const where = `${job!.name}, ${number === 0 ? name : `step ${number}`}`
      moments.push({ by: `${kind}: ${where}`, from: Date.parse(startedAt), order: updateFirst })
      if (kind !== 'main') continue
      moments.push({ by: MEANWHILE + where, from: Date.parse(completedAt!), order: byCall })
    }
  }
  return moments
}

/** Groups the jobs by start time. Jobs that overlap in time are in one group. */
function sideBySide(jobs: SimulatedJob[]): SimulatedJob[][] {
  const started = jobs.filter(job => job.startedAt !== null)
  const groups: SimulatedJob[][] = []
  for (const job of started.toSorted((a, b) => a.startedAt!.localeCompare(b.startedAt!))) {
    const overlaps = groups.at(-1)?.some(({ completedAt }) => completedAt! > job.startedAt!)
    if (overlaps) groups.at(-1)!.push(job)
    else groups.push([job])
  }
  return groups
}

/** Replaces values that differ between runs. */
function createNormalize({ options }: SimulatedRun, services: Services & Record<string, FakeServer>) {
  const { secrets, vars, oidc } = options
  const named = {
    ...secrets,
    ...(vars?.PORT_CLIENT_ID && { PORT_CLIENT_ID: vars.PORT_CLIENT_ID }),
    ...(oidc && { ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken }),
  }
  const credentials = Object.entries(named).flatMap(([name, value]) =>
    value
      .split('\n')
      .filter(line => line !== '')
      .map((line, index): [string, string] => [line, `<${name}${index === 0 ? '' : `, line ${index + 1}`}>`]),
  )
  // A secret of several lines is also masked in Base64, at each of the three offsets (0, 1, and 2 bytes).
  const encoded = Object.entries(named)
    .filter(([, value]) => value.includes('\n'))
    .flatMap(([name, value]) =>
      [0, 1, 2].map((offset): [string, string] => {
        const rest = Buffer.from(value.trim()).subarray(offset)
        const digits = rest.toString('base64').slice(0, Math.floor((rest.length * 8) / 6))
        return [digits, `<${name} in Base64, from byte ${offset}>`]
      }),
    )
  const values: [string | RegExp, string][] = [
    ...encoded,
    ...credentials,
    ...Object.entries(services).flatMap(([name, { origin }]) => {
      const { host } = new URL(origin)
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
