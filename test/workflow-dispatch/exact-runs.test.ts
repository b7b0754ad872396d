import { expect, test } from 'vitest'
import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { seededRandom, shuffle } from '../support/random.ts'
import { sendRunWebhook } from '../support/run-webhook.ts'
import { openScene, type Scene, WEBHOOK_SECRET, workflow } from './open-scene.ts'

/** `EXACT_RUNS=1000` runs the complete form. */
const AMOUNT = Number(process.env.EXACT_RUNS ?? 200)
/** The inputs that the relay sends in addition to the form's inputs. */
const OFFERED = { port: {}, port_context: {}, port_run_id: {}, run_id: {}, port_payload: {} }
const AT_ONCE = 20
/** Conclusions that don't require the run's jobs, and their results in Port. */
const ENDS = [
  ['success', 'SUCCESS'],
  ['startup_failure', 'FAILURE'],
  ['skipped', 'FAILURE'],
] as const

test(`each of ${AMOUNT} rapid deliveries to one workflow gets the link and result of its own run, even if untitled runs are listed late and in random order`, {
  timeout: 600_000 + AMOUNT * 300,
}, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const scene = await openScene({ shownAfterMs: 3_000, order: runs => shuffle(runs, random) })
  const { github, relay, page } = scene
  github.addRepository('acme/shop', { workflows: [workflow(OFFERED)] })
  // All list requests fail until all runs are bound.
  const isList = ({ path }: { path: string }) => /\/actions\/runs(\?|$)/.test(path)
  const allowLists = github.fail({ match: isList, status: 502, times: Number.POSITIVE_INFINITY })

  const numbers = Array.from({ length: AMOUNT }, (_, i) => i)
  const delivered = await pooled(numbers, () => scene.deliver('/webhook?workflow=deploy.yml'))
  const runs = delivered.map(({ run }) => run)
  const patience = 300_000 + AMOUNT * 100
  await until(
    () => github.workflowDispatches.length === AMOUNT && runs.every(run => run.link && run.logs.length > 0),
    'Port is updated for every run',
    patience,
  )
  const own = new Map(
    github.workflowDispatches.map(({ inputs, runId }) => [
      JSON.parse(inputs.port as string).run_id as string,
      github.runs.find(({ id }) => id === runId) as GitHubRun,
    ]),
  )
  expect(own.size).toBe(AMOUNT)
  expect(new Set(github.runs.map(({ displayTitle }) => displayTitle))).toEqual(new Set(['Deploy']))
  for (const run of runs) expect(run.link).toEqual([page(own.get(run.id)!.id)])
  const bindings = () => relay.log().filter(line => line.evidence !== undefined)
  await until(() => bindings().length === AMOUNT, 'the log names the evidence of every binding')
  expect(new Set(bindings().map(line => line.evidence))).toEqual(new Set(['response']))

  allowLists()
  const conclusions = new Map(runs.map(({ id }, i) => [id, ENDS[i % ENDS.length]!]))
  await pooled(shuffle(runs, random), ({ id }) => end(scene, own.get(id)!, conclusions.get(id)![0]))
  await until(() => runs.every(run => run.status !== 'IN_PROGRESS'), 'every Port run finishes', patience)
  const wrong = runs.filter(
    ({ id, status, link, externalRunId }) =>
      status !== conclusions.get(id)![1] ||
      [link].flat().join() !== page(own.get(id)!.id) ||
      externalRunId !== String(own.get(id)!.id),
  )
  expect(wrong).toEqual([])
  expect(bindings()).toHaveLength(AMOUNT)
})

/** Finishes the run and sends GitHub's webhook about it. */
async function end({ github, relay }: Scene, run: GitHubRun, conclusion: string): Promise<void> {
  github.setRun(run.id, { status: 'completed', conclusion })
  const response = await sendRunWebhook(relay.url, run, { github, secret: WEBHOOK_SECRET })
  expect(response).toEqual({ scheduled: 1 })
}

/** Applies a function to all items, several concurrently. Returns the results in order. */
async function pooled<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const waiting = all.entries()
  const worker = async () => {
    for (const [i, one] of waiting) results[i] = await work(one)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return results
}
