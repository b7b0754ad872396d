import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { followJob } from '../../action/progress/follow.ts'
import { type FollowedJob, type Following, progressFolder } from '../../action/progress/process.ts'
import { createFetch } from '../../action/runner/runner.ts'
import { createMasks } from '../../action/secrets/redact.ts'
import type { LogLine } from '../../port/types.ts'
import { temporaryFolder } from '../support/relay.ts'
import { REPOSITORY, type System } from './play.ts'

/** A log file, and the progress reporter's folder next to it. */
export function openFolder() {
  const root = temporaryFolder()
  const logFile = join(root, 'port-log.txt')
  writeFileSync(logFile, '')
  const folder = progressFolder(logFile)
  mkdirSync(folder.path)
  return { root, logFile, folder }
}

/** The progress reporter's input for a system's Port run. */
export function jobFor(
  { port, github, run }: System,
  logFile: string,
  more: Partial<FollowedJob> = {},
): FollowedJob {
  return {
    runId: run.id,
    kind: 'action_run',
    credentials: { portApiUrl: port.url, portClientId: port.clientId, portClientSecret: port.clientSecret },
    secrets: ['top secret'],
    portToken: null,
    files: { log: logFile, entities: `${logFile}.entities`, run: `${logFile}.run` },
    github: { token: github.token, checkRunId: '7' },
    relay: null,
    statusLabel: 'Running',
    needsOutputs: {},
    worker: process.pid,
    workflow: {
      repository: REPOSITORY,
      runId: '16000000042',
      attempt: '1',
      job: 'deploy',
      event: 'repository_dispatch',
      eventPath: '',
      url: 'https://g/1',
      apiUrl: github.url,
      runnerName: 'r',
      tempFolder: '',
      action: './',
    },
    ...more,
  }
}

/** Follows a job until `isOver`, which is called after each sleep, returns true. Each sleep takes only 5 ms. */
export async function follow(
  job: FollowedJob,
  run: Partial<Following['run']>,
  isOver: (sleeps: number, ms: number) => boolean,
  tools: Partial<Pick<Following, 'clock' | 'masks'>> = {},
) {
  const stopping = new AbortController()
  let sleeps = 0
  await followJob(job, {
    run: { ...IDLE, ...run },
    folder: progressFolder(job.files.log),
    masks: createMasks(job.secrets),
    fetch: createFetch(),
    clock: Date.now,
    sleep: async ms => {
      await new Promise(done => setTimeout(done, 5))
      if (isOver(++sleeps, ms)) stopping.abort()
    },
    stopping,
    ...tools,
  })
}

const IDLE = {
  update: async () => {},
  log: async () => {},
  upsertEntity: async () => {},
  deleteEntity: async () => {},
  isDeferred: false,
}

/** The texts of lines. */
export const textsOf = (lines: readonly LogLine[]) => lines.map(({ message }) => message)
