import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { followJob, waitForStop } from './progress/follow.ts'
import { type FollowedJob, progressFolder } from './progress/process.ts'
import { createReporter } from './reporter/direct.ts'
import { createRelayReporter } from './reporter/relay.ts'
import { clock, createFetch } from './runner/runner.ts'
import { createMasks } from './secrets/redact.ts'

const given = await text(process.stdin)
if (given !== '') {
  const job: FollowedJob = JSON.parse(given)
  const folder = progressFolder(job.files.log)
  const masks = createMasks(job.secrets)
  const { stopping, close } = waitForStop(folder, job.worker)
  const fetch = createFetch()
  const runner = { fetch, clock, sleep, core: { setSecret: () => {} } }
  const relay = job.relay && createRelayReporter(job.relay, runner, { budgetMs: 0 })
  const options = { relay, token: job.portToken, budgetMs: 0, redact: masks.redact }
  const run = createReporter(job.runId, job.credentials, runner, options)
  const nap = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {})
  await followJob(job, { run, folder, masks, fetch, clock, sleep: nap, stopping })
  close()
  folder.done()
}
