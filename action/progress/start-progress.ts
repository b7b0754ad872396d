import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { parse } from 'node:path'
import type { Runner } from '../runner/runner.ts'
import type { FollowedJob } from './following.ts'
import { progressFolder } from './progress-folder.ts'

/** It does little, and lives as long as the job: V8 spends time on it rather than memory (145 MB without them). */
const SMALL = ['--lite-mode', '--max-semi-space-size=1']

/**
 * Starts the progress reporter that shows the running step and new log lines while the job runs. It outlives main, and
 * post ends it; whatever else happens, it ends with the job.
 *
 * Keys go to it by its standard input: neither arguments nor files nor its environment, which other processes of
 * the machine can read, hold them. It keeps RUNNER_TRACKING_ID, so that the runner ends it with the job should all
 * else fail, and gives up the working directory, which Windows could not remove otherwise.
 */
export function startProgress(job: FollowedJob, script: string, env: Runner['env']): void {
  const folder = progressFolder(job.files.log)
  mkdirSync(folder.path, { recursive: true })
  const child = spawn(process.execPath, [...SMALL, script], {
    detached: true,
    windowsHide: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: parse(process.execPath).root,
    env: Object.fromEntries(
      Object.entries(env).filter(([name]) => !/^(INPUT|STATE|ACTIONS|GITHUB)_/.test(name)),
    ),
  })
  // Without it there is no progress, and nothing else is lost.
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(job))
  child.unref()
  if (child.pid !== undefined) folder.open(child.pid)
}
