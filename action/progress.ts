import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { clock } from './clock.ts'
import { createFetch } from './fetch.ts'
import { type FollowedJob, followJob } from './follow-job.ts'
import { progressFolder } from './progress-folder.ts'
import { createRedact } from './redact.ts'
import { createRelayReporter } from './relay-reporter.ts'
import { createReporter } from './reporter.ts'
import { watchEnd } from './watch-end.ts'

const given = await text(process.stdin)
if (given !== '') {
  const job: FollowedJob = JSON.parse(given)
  const folder = progressFolder(job.logFile)
  const { ended, close } = watchEnd(folder, job.worker)
  const tools = { fetch: createFetch(), clock, ended }
  const runner = { ...tools, sleep, core: { setSecret: () => {} } }
  const relay = job.relay && createRelayReporter(job.relay, runner, { budgetMs: 0 })
  const run = createReporter(job.runId, job.credentials, runner, {
    relay,
    budgetMs: 0,
    redact: createRedact(job.secrets),
  })
  const nap = (ms: number) => sleep(ms, undefined, { signal: ended.signal }).catch(() => {})
  await followJob(job, run, folder, { ...tools, sleep: nap })
  close()
  folder.done()
}
