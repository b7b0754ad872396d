import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import * as core from '@actions/core'
import { onTestFinished, vi } from 'vitest'
import { finish } from '../../action/finish.ts'
import { createFetch, type State } from '../../action/runner/runner.ts'
import { start } from '../../action/start.ts'
import { temporaryFolder } from '../support/relay.ts'
import { payloadFor, REPOSITORY, type System } from './play.ts'

/** The page that messages of {@link openRunner} link to. */
export const seeAlso = (topic: string) =>
  ` See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#${topic}`

type Parts = Pick<System, 'port' | 'github'> & {
  run?: { id: string }
  /** `client_payload`. Default: the payload of `run`. */
  payload?: unknown
}

export interface InProcessRunner {
  /**
   * Runs an entry point's function, and returns the lines on stdout, without masks. `more` overrides the environment of
   * the runner. Sleeps advance the clock immediately.
   */
  run(entry: 'main' | 'post', more?: Record<string, string>): Promise<string[]>
  /** Runs post with the state that main saved. */
  post(more?: Record<string, string>): Promise<string[]>
  /** The state that main saved for post, as the runner passes it. */
  state(): Record<string, string>
  /** The same state, parsed. */
  saved(): State
  /** The outputs that main set. */
  outputs(): Record<string, string>
  /** Every masked value. */
  masks(): string[]
  folder: string
}

/**
 * Sets up a runner's environment and files, and runs the sources in this process. For the rest of the test,
 * `process.env` and stdout belong to the action.
 *
 * @param env overrides the environment
 */
export function openRunner(
  { port, github, run, payload }: Parts,
  inputs: Record<string, string> = {},
  more: Record<string, string> = {},
  /** The bundle of the progress reporter. Default: the built one. */
  script?: string,
): InProcessRunner {
  const folder = temporaryFolder()
  onTestFinished(() => {
    process.exitCode = 0
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })
  const file = (name: string, content = '') => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const event = { client_payload: payload ?? payloadFor(run!.id) }
  const env: Record<string, string> = {
    GITHUB_REPOSITORY: REPOSITORY,
    GITHUB_RUN_ID: '16000000042',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_JOB: 'deploy',
    GITHUB_EVENT_NAME: 'repository_dispatch',
    GITHUB_EVENT_PATH: file('event.json', JSON.stringify(event)),
    GITHUB_SERVER_URL: github.serverUrl,
    GITHUB_API_URL: github.url,
    GITHUB_ACTION_REPOSITORY: 'org/port-webhook-action',
    GITHUB_ACTION_REF: 'v1',
    GITHUB_OUTPUT: file('output'),
    GITHUB_STATE: file('state'),
    GITHUB_ENV: file('env'),
    RUNNER_NAME: 'rack-7',
    RUNNER_TEMP: folder,
    ...more,
  }
  const given = {
    'port-api-url': port.url,
    'port-client-id': port.clientId,
    'port-client-secret': port.clientSecret,
    report: 'auto',
    live: 'false',
    'on-duplicate': 'fail',
    'fail-on-report-error': 'false',
    'github-token': github.token,
    'job-status': 'success',
    ...inputs,
  }
  for (const [name, value] of Object.entries(given)) env[`INPUT_${name.toUpperCase()}`] = value
  const written: string[] = []
  const masks: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation(text => written.push(String(text)) > 0)

  async function record(more: Record<string, string>, work: () => Promise<unknown>): Promise<string[]> {
    vi.unstubAllEnvs()
    for (const [name, value] of Object.entries({ ...env, ...more })) vi.stubEnv(name, value)
    written.length = 0
    await work()
    const lines = written.join('').split('\n')
    masks.push(...lines.filter(line => line.startsWith(MASK)).map(line => line.slice(MASK.length)))
    return lines.filter(line => line !== '' && !line.startsWith(MASK))
  }

  const read = (name: string): [string, string][] => {
    const entries = readFileSync(join(folder, name), 'utf8').matchAll(/^([\w-]+)<<(\S+)\n(.*)\n\2$/gm)
    return [...entries].map(([, key, , value]) => [key!, value!])
  }
  const runStep = (entry: 'main' | 'post', more = {}) =>
    record(more, async () => {
      let passed = 0
      const sleep = async (ms: number) => {
        passed += ms
        // Operations in progress continue.
        await wait(1)
      }
      const clock = () => Date.now() + passed
      const runner = { core, env: process.env, fetch: createFetch(), clock, sleep }
      if (entry === 'main') await start(runner, script ?? PROGRESS)
      else await finish(runner)
    })
  /** If main saved several values, the last one counts. Null means that post has nothing to do. */
  const state = (): Record<string, string> => {
    const [name, value] = read('state').at(-1) ?? []
    return name === undefined || value === 'null' ? {} : { [`STATE_${name}`]: value! }
  }
  return {
    run: runStep,
    post: (more = {}) => runStep('post', { ...state(), ...more }),
    state,
    saved: () => JSON.parse(state().STATE_report!),
    outputs: () => Object.fromEntries(read('output')),
    masks: () => masks,
    folder,
  }
}

const MASK = '::add-mask::'
const PROGRESS = join(import.meta.dirname, '../../action/dist/progress/index.js')
