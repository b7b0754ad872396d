import { parseJson } from '../../port/parse-json.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { help } from './help.ts'
import type { Runner } from './runner.ts'

const REPORT = ['job', 'workflow', 'updates', 'off'] as const
const ON_DUPLICATE = ['fail', 'continue'] as const
const JOB_STATUS = ['success', 'failure', 'cancelled'] as const
const RESULT: unknown[] = [...JOB_STATUS, 'skipped']

export type JobStatus = (typeof JOB_STATUS)[number]

/** The inputs of `action.yml`, typed. */
export interface Inputs {
  portClientId: string
  portClientSecret: string
  portApiUrl: string
  /** PEM, for secret inputs encrypted by Port's client. */
  privateKey: string
  report: (typeof REPORT)[number]
  /** The results of the jobs before this one, by job id. */
  needs: Record<string, string>
  summary: string
  /** Texts that must not reach Port, beside those that the action knows of. */
  mask: string[]
  /** Empty: the running step. */
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
 * Reads every input at once.
 *
 * @param get `core.getInput`
 * @throws Error with one sentence for each input that is wrong, and a link
 */
export function readInputs(get: (name: string) => string, env: Runner['env']): Inputs {
  const problems: string[] = []

  function oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = get(name)
    const found = allowed.find(item => item === value)
    if (!found) problems.push(`${name} must be ${list(allowed)}, not ${JSON.stringify(value)}.`)
    return found ?? allowed[0]!
  }

  function url(name: string): string {
    const value = get(name)
    if (!/^https?:\/\//.test(value) || !URL.canParse(value)) {
      problems.push(`${name} must be a URL such as https://api.port.io, not ${JSON.stringify(value)}.`)
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
    portApiUrl: url('port-api-url'),
    privateKey: get('private-key'),
    report: oneOf('report', REPORT),
    needs: results(object('needs', '${{ toJSON(needs) }}', areJobs) ?? {}),
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
  if ((inputs.portClientId === '') !== (inputs.portClientSecret === '')) {
    const [given, missing] =
      inputs.portClientId === ''
        ? ['port-client-secret', 'port-client-id']
        : ['port-client-id', 'port-client-secret']
    problems.push(`${given} is given, and ${missing} is empty: check the name of its secret or variable.`)
  }
  if (problems.length > 0) throw new Error(problems.join('\n') + help(env, 'inputs'))
  return inputs
}

/** Anything else, as the outputs or the result of one job, would count no job that failed. */
function areJobs(needs: JsonObject): boolean {
  return Object.values(needs).every(job => isObject(job) && RESULT.includes(job.result))
}

/** `{ build: { result: 'success', outputs: {} } }` → `{ build: 'success' }` */
function results(needs: JsonObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(needs).map(([job, value]) => [job, String((value as JsonObject).result)]),
  )
}

/** The values of `${{ toJSON(secrets) }}` or of another object or list in JSON; else one text a line. */
function readMask(text: string): string[] {
  const given = parseJson(text)
  if (typeof given !== 'object' || given === null) return text.split('\n').filter(line => line.trim() !== '')
  return Object.values(given).flatMap(value =>
    typeof value === 'object' ? readMask(JSON.stringify(value)) : String(value),
  )
}

const list = (words: readonly string[]) => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
