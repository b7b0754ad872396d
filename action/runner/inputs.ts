import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { help, type Runner } from './runner.ts'

const REPORT = ['auto', 'job', 'workflow', 'updates', 'off'] as const
const ON_DUPLICATE = ['fail', 'continue'] as const
const JOB_STATUS = ['success', 'failure', 'cancelled'] as const
const RESULT: unknown[] = [...JOB_STATUS, 'skipped']

export type JobStatus = (typeof JOB_STATUS)[number]

/** The inputs of `action.yml`. */
export type Inputs = ReturnType<typeof readInputs>

/** @throws Error with one message for each invalid input, and a link to the docs */
export function readInputs(get: (name: string) => string, env: Runner['env']) {
  const problems: string[] = findForeign(env)

  function oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = get(name)
    const found = allowed.find(item => item === value)
    if (!found) problems.push(`${name} must be ${list(allowed)}, not ${JSON.stringify(value)}.`)
    return found ?? allowed[0]!
  }

  function url(name: string, example: string): string {
    const value = get(name)
    if (!/^https?:\/\//.test(value) || !URL.canParse(value)) {
      problems.push(`${name} must be a URL such as ${example}, not ${JSON.stringify(value)}.`)
    }
    return value
  }

  function object(name: string, hint: string, fits = (_: JsonObject) => true): JsonObject | null {
    const value = get(name)
    if (value === '' || value === 'null') return null
    const parsed = parseJson(value)
    if (isObject(parsed) && fits(parsed)) return parsed
    problems.push(`${name} must be ${hint}.`)
    return null
  }

  const inputs = {
    portClientId: get('port-client-id'),
    portClientSecret: get('port-client-secret'),
    portApiUrl: url('port-api-url', 'https://api.port.io'),
    /** The relay address that the payload must contain; empty if any address is allowed. */
    relayUrl: get('relay-url') === '' ? '' : url('relay-url', 'https://relay.example.com'),
    /** A PEM key for secret inputs that were encrypted in the browser (client-side encryption). */
    privateKey: get('private-key'),
    /** `auto` means `job` if the action has Port credentials. */
    report: oneOf('report', REPORT),
    ...readNeeds(object('needs', '${{ toJSON(needs) }}', areJobs) ?? {}),
    summary: get('summary'),
    mask: readMask(get('mask')),
    /** The label; if empty, Port shows the running step. */
    statusLabel: get('status-label'),
    live: oneOf('live', ['true', 'false']) === 'true',
    onDuplicate: oneOf('on-duplicate', ON_DUPLICATE),
    failOnReportError: oneOf('fail-on-report-error', ['false', 'true']) === 'true',
    payload: get('payload'),
    githubToken: get('github-token'),
    jobStatus: oneOf('job-status', JOB_STATUS),
    checkRunId: get('check-run-id') || null,
    matrix: object('matrix', 'left to its default'),
  }
  if (inputs.report === 'auto' && inputs.portClientSecret !== '') inputs.report = 'job'
  if ((inputs.portClientId === '') !== (inputs.portClientSecret === '')) {
    const names = ['port-client-id', 'port-client-secret']
    const [given, missing] = inputs.portClientId === '' ? names.toReversed() : names
    problems.push(`${given} is set, but ${missing} is empty: check the name of its secret or variable.`)
  }
  if (problems.length > 0) throw new Error(problems.join('\n') + help(env, 'inputs'))
  return inputs
}

/** Inputs of port-labs/port-github-action. The runner only prints a warning about unknown inputs. */
const FOREIGN = ['clientId', 'clientSecret', 'baseUrl', 'runId', 'logMessage']

function findForeign(env: Runner['env']): string[] {
  const names = FOREIGN.filter(name => env[`INPUT_${name.toUpperCase()}`] !== undefined)
  if (names.length === 0) return []
  return [
    `${names.join(', ')}: these are inputs of port-labs/port-github-action. This action reports the job by itself, and steps ` +
      "write to $PORT_LOG, $PORT_RUN, and $PORT_ENTITIES: rewrite the workflow with the relay's command migrate.",
  ]
}

/** Whether the value is the whole `needs` context. The result of a single job would hide failures of other jobs. */
const areJobs = (needs: JsonObject): boolean =>
  Object.values(needs).every(job => isObject(job) && RESULT.includes(job.result))

/** `{ build: { result: 'success', outputs: { url: '…' } } }` → `{ build: 'success' }` and `{ build: { url: '…' } }` */
function readNeeds(needs: JsonObject) {
  const jobs = Object.entries(needs).map(([job, value]) => [job, value as JsonObject] as const)
  const outputs = jobs.flatMap(([job, { outputs }]) =>
    isObject(outputs) && Object.keys(outputs).length > 0 ? [[job, outputs] as const] : [],
  )
  return {
    /** The results of the earlier jobs, by job id. */
    needs: Object.fromEntries(jobs.map(([job, { result }]) => [job, String(result)])),
    /** Jobs without outputs are omitted. */
    needsOutputs: Object.fromEntries(outputs) as JsonObject,
  }
}

/** Returns the values in a JSON object or list, such as `${{ toJSON(secrets) }}`, or in text with one value per line. */
function readMask(text: string): string[] {
  const given = parseJson(text)
  if (typeof given !== 'object' || given === null) return text.split('\n').filter(line => line.trim() !== '')
  return Object.values(given).flatMap(value =>
    typeof value === 'object' ? readMask(JSON.stringify(value)) : String(value),
  )
}

const list = (words: readonly string[]) => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
