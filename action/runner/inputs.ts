import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { help, type Runner } from './runner.ts'

const REPORT = ['auto', 'job', 'workflow', 'updates', 'off'] as const
const ON_DUPLICATE = ['fail', 'continue'] as const
const JOB_STATUS = ['success', 'failure', 'cancelled'] as const
const RESULT: unknown[] = [...JOB_STATUS, 'skipped']

export type JobStatus = (typeof JOB_STATUS)[number]

/** The inputs of `action.yml`, typed. */
export interface Inputs {
  portClientId: string
  portClientSecret: string
  portApiUrl: string
  /** The only relay that the payload can name. If empty, the payload can name any relay. */
  relayUrl: string
  /** A PEM key, for secret inputs that Port's client encrypted. */
  privateKey: string
  /** With Port credentials, `auto` becomes `job`. */
  report: (typeof REPORT)[number]
  /** The results of the earlier jobs, by job id. */
  needs: Record<string, string>
  /** The outputs of the earlier jobs, by job id. Jobs without outputs are omitted. */
  needsOutputs: JsonObject
  summary: string
  /** Additional values to hide from Port. */
  mask: string[]
  /** The label; if empty, the running step is shown. */
  statusLabel: string
  live: boolean
  onDuplicate: (typeof ON_DUPLICATE)[number]
  failOnReportError: boolean
  payload: string
  githubToken: string
  jobStatus: JobStatus
  /** Null on Enterprise Server. */
  checkRunId: string | null
  matrix: JsonObject | null
}

/**
 * Reads and validates all inputs.
 *
 * @param get `core.getInput`
 * @throws Error with one message for each invalid input, and a link to the docs
 */
export function readInputs(get: (name: string) => string, env: Runner['env']): Inputs {
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

  const inputs: Inputs = {
    portClientId: get('port-client-id'),
    portClientSecret: get('port-client-secret'),
    portApiUrl: url('port-api-url', 'https://api.port.io'),
    relayUrl: get('relay-url') === '' ? '' : url('relay-url', 'https://relay.example.com'),
    privateKey: get('private-key'),
    report: oneOf('report', REPORT),
    ...readNeeds(object('needs', '${{ toJSON(needs) }}', areJobs) ?? {}),
    summary: get('summary'),
    mask: readMask(get('mask')),
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
    const [given, missing] =
      inputs.portClientId === ''
        ? ['port-client-secret', 'port-client-id']
        : ['port-client-id', 'port-client-secret']
    problems.push(`${given} is set, but ${missing} is empty: check the name of its secret or variable.`)
  }
  if (problems.length > 0) throw new Error(problems.join('\n') + help(env, 'inputs'))
  return inputs
}

const OIDC = 'or omit it and give the job "permissions: id-token: write"'
const FILE = (name: string) => (use: string) => `write ${use} to $${name}`
const [toRun, toLog] = [FILE('PORT_RUN'), FILE('PORT_LOG')]
const ENTITY = 'write the entity to $PORT_ENTITIES, as YAML or JSON'
/** Maps inputs of port-labs/port-github-action to their replacements. */
const FOREIGN: Record<string, string> = {
  clientId: `use port-client-id, ${OIDC}`,
  clientSecret: `use port-client-secret, ${OIDC}`,
  baseUrl: 'use port-api-url',
  operation:
    'the action reports the job by itself, and steps write to $PORT_LOG, $PORT_RUN and $PORT_ENTITIES',
  runId: 'the payload contains the run id',
  externalRunId: 'the action sets it',
  logMessage: toLog('the line'),
  status: `the action reports the result of the job, or ${toRun('conclusion=failure')}`,
  statusLabel: `use status-label, or ${toRun('status-label=…')}`,
  link: toRun('link=https://…'),
  ...Object.fromEntries(
    'identifier blueprint title icon team properties relations entities'
      .split(' ')
      .map(name => [name, ENTITY]),
  ),
}

/** Names that only port-github-action uses. An author can also set other names, such as `INPUT_STATUS`, in `env:`. */
const UNMISTAKABLE = ['clientId', 'clientSecret', 'baseUrl', 'runId', 'logMessage']

/** Finds inputs that action.yml doesn't declare. The runner only warns about them, and suggests no replacement. */
const findForeign = (env: Runner['env']): string[] =>
  Object.entries(UNMISTAKABLE.some(name => env[`INPUT_${name.toUpperCase()}`] !== undefined) ? FOREIGN : {})
    .filter(([name]) => env[`INPUT_${name.toUpperCase()}`] !== undefined)
    .map(([name, use]) => `${name} isn't an input of this action: ${use}.`)

/** Whether the value has the shape of `needs`. Another value, such as one job's result, would hide failed jobs. */
function areJobs(needs: JsonObject): boolean {
  return Object.values(needs).every(job => isObject(job) && RESULT.includes(job.result))
}

/** `{ build: { result: 'success', outputs: { url: '…' } } }` → `{ build: 'success' }` and `{ build: { url: '…' } }` */
function readNeeds(needs: JsonObject): Pick<Inputs, 'needs' | 'needsOutputs'> {
  const jobs = Object.entries(needs).map(([job, value]) => [job, value as JsonObject] as const)
  const outputs = jobs.flatMap(([job, { outputs }]) =>
    isObject(outputs) && Object.keys(outputs).length > 0 ? [[job, outputs] as const] : [],
  )
  return {
    needs: Object.fromEntries(jobs.map(([job, { result }]) => [job, String(result)])),
    needsOutputs: Object.fromEntries(outputs),
  }
}

/** Reads the values of `${{ toJSON(secrets) }}` or another JSON object or list. Otherwise, each line is a value. */
function readMask(text: string): string[] {
  const given = parseJson(text)
  if (typeof given !== 'object' || given === null) return text.split('\n').filter(line => line.trim() !== '')
  return Object.values(given).flatMap(value =>
    typeof value === 'object' ? readMask(JSON.stringify(value)) : String(value),
  )
}

const list = (words: readonly string[]) => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
