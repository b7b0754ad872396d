import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { isAlive } from '../../action/runner/processes.ts'
import { isObject } from '../../port/types.ts'
import { listProcesses } from '../support/player/list-processes.ts'
import type { PlayedJob, PlayOptions } from '../support/player/types.ts'
import { whyNoContainer } from '../support/player/why-no-container.ts'
import { action, openStage, ownSteps, RUN_PATH, type Stage } from './play.ts'
import { transcript } from './transcript.ts'

const inContainer = (steps: string) => `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    container: node:24-slim
    steps:${action()}
      ${steps.trim().replaceAll('\n', '\n      ')}
`

/** Plays the steps in a container, and says what ran in it when the step "Deploy" began. */
async function play(stage: Stage, steps: string, options: Partial<PlayOptions> = {}) {
  let inside: ReturnType<typeof listProcesses> = Promise.resolve([])
  const played = await stage.play({
    yaml: inContainer(steps),
    ...options,
    onStep: info => {
      options.onStep?.(info)
      const began = info.step.name === 'Deploy' && info.step.status === 'in_progress'
      if (began) inside = listProcesses(info.job.container!.pid)
    },
  })
  const seen = await inside
  // What the rest of each test says of the progress reporter is worth nothing if there was none.
  expect(seen.filter(isProgressReporter)).toHaveLength(1)
  return { played, job: played.jobs[0]!, seen }
}

const isProgressReporter = ({ command }: { command: string }) =>
  /^\/__e\/node24\/bin\/node .*\/__w\/_actions\/acme\/shop\/main\/action\/dist\/progress\/index\.js$/.test(
    command,
  )

/** Of the container and of what ran in it, that which still runs. */
const left = ({ container }: PlayedJob, seen: { pid: number }[]) =>
  [container!, ...seen].filter(({ pid }) => isAlive(pid))

const lines = ({ run }: Stage) => run.logs.flatMap(log => log.message.split('\n'))

const noContainer = await whyNoContainer()
if (noContainer) console.warn(`Jobs in containers are not tested here: ${noContainer}`)

describe.skipIf(noContainer).concurrent('in a container of the job', () => {
  test('outputs, log and final status are those of any job, on the paths of the container', async ({
    expect,
    onTestFinished,
  }) => {
    const stage = await openStage({}, onTestFinished)
    const { played, job, seen } = await play(
      stage,
      `
- { name: Build image, run: 'echo "writes to $PORT_LOG" | tee -a "$PORT_LOG"' }
- { name: Deploy, run: 'test -w "$PORT_LOG"; sleep 0.5', env: { VERSION: "\${{ steps.port.outputs.version }}" } }`,
    )
    await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/container.yml')
    expect(job.steps.find(({ name }) => name === 'Build image')!.stdout).toBe(
      'writes to /__w/_temp/_runner_file_commands/port-log-d_1.txt\n',
    )
    expect(ownSteps(job).main.durationMs).toBeLessThan(5_000)
    expect(job.orphans).toEqual([])
    expect(left(job, seen)).toEqual([])
    expect(stage.run).toMatchObject({ status: 'SUCCESS', statusLabel: 'Succeeded' })
  })

  test('Port shows the running step and its lines within seconds', async ({ onTestFinished }) => {
    const stage = await openStage({}, onTestFinished)
    const begun = new Map<string, number>()
    const writing = 'for part in 1 2 3; do echo "part $part $(date +%s%3N)" >> "$PORT_LOG"; sleep 1.3; done'
    const { job, seen } = await play(
      stage,
      `
- { name: Build image, run: '${writing}' }
- { name: Deploy, run: '${writing}' }`,
      { onStep: ({ step }) => begun.set(step.name, Date.parse(step.startedAt!)) },
    )
    const end = ownSteps(job).post.startedAt!
    const meanwhile = stage.port.requests.filter(({ at }) => at < Date.parse(end))
    for (const [index, name] of ['Build image', 'Deploy'].entries()) {
      const label = `${name} (${index + 1}/2)`
      const shown = meanwhile.find(({ body }) => isObject(body) && body.statusLabel === label)
      expect(shown).toMatchObject({ method: 'PATCH', path: RUN_PATH })
      expect(shown!.at - begun.get(name)!).toBeLessThan(5_000)
    }
    const written = stage.port.requests.flatMap(({ body, at }) =>
      String(isObject(body) && body.message)
        .split('\n')
        .flatMap(
          line =>
            /^part [123] (\d{13})$/
              .exec(line)
              ?.slice(1)
              .map(time => at - Number(time)) ?? [],
        ),
    )
    expect(written).toHaveLength(6)
    expect(Math.max(...written)).toBeLessThan(5_000)
    expect(job.orphans).toEqual([])
    expect(left(job, seen)).toEqual([])
  })

  test('a cancel ends the progress reporter, and the step, which no signal reaches, with the container', async ({
    onTestFinished,
  }) => {
    const stage = await openStage({}, onTestFinished)
    const { played, job, seen } = await play(
      stage,
      `- { name: Deploy, run: 'echo before | tee -a "$PORT_LOG"; exec sleep 60' }`,
      { cancelAt: 'Deploy' },
    )
    expect(played.conclusion).toBe('cancelled')
    expect(lines(stage)).toContain('before')
    expect(stage.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
    expect(job.orphans.map(({ command }) => command)).toEqual(['sleep 60'])
    expect(left(job, [...seen, ...job.orphans])).toEqual([])
  })

  test('a step that is killed fails the run, and a progress reporter that is killed keeps no line back', async ({
    onTestFinished,
  }) => {
    const stage = await openStage({}, onTestFinished)
    const { played, job, seen } = await play(
      stage,
      `
- name: Deploy
  run: |
    kill -9 "$(cat "$PORT_LOG.progress/pid")"
    echo before >> "$PORT_LOG"
    kill -9 $$`,
    )
    expect(played.conclusion).toBe('failure')
    expect(job.steps.find(({ name }) => name === 'Deploy')).toMatchObject({ exitCode: 137 })
    expect(lines(stage).filter(line => line === 'before')).toHaveLength(1)
    expect(stage.run.status).toBe('FAILURE')
    // Nobody waits there for a process that has ended: post does not take it for one that runs.
    expect(ownSteps(job).post).toMatchObject({ conclusion: 'success', stderr: '' })
    expect(ownSteps(job).post.durationMs).toBeLessThan(8_000)
    expect(job.orphans).toEqual([])
    expect(left(job, seen)).toEqual([])
  })

  test('a progress reporter is ended by post after a step that is killed', async ({ onTestFinished }) => {
    const stage = await openStage({}, onTestFinished)
    const { job, seen } = await play(stage, "- { name: Deploy, run: 'sleep 0.5; kill -9 $$' }")
    expect(stage.run.status).toBe('FAILURE')
    expect(job.orphans).toEqual([])
    expect(left(job, seen)).toEqual([])
  })

  test('when the container is killed no post runs, and nothing is left behind', async ({
    onTestFinished,
  }) => {
    const stage = await openStage({}, onTestFinished)
    const { job, seen } = await play(stage, '- { name: Deploy, run: sleep 60 }', {
      onStep: async ({ job, step }) => {
        if (step.name !== 'Deploy' || step.status !== 'in_progress') return
        await sleep(1_000)
        process.kill(job.container!.pid, 'SIGKILL')
      },
    })
    expect(job.conclusion).toBe('failure')
    expect(ownSteps(job).post).toMatchObject({ conclusion: 'failure', stdout: '' })
    expect(stage.run.status).toBe('IN_PROGRESS')
    expect(left(job, seen)).toEqual([])
  })

  test('when the runner is lost no post runs, and nothing is left behind', async ({ onTestFinished }) => {
    const stage = await openStage({}, onTestFinished)
    const lost = new AbortController()
    const { job, seen } = await play(stage, '- { name: Deploy, run: exec sleep 60 }', {
      runnerLost: lost.signal,
      onStep: ({ step }) => step.name === 'Deploy' && setTimeout(() => lost.abort(), 1_000),
    })
    expect(ownSteps(job).post.status).toBe('queued')
    expect(stage.run.status).toBe('IN_PROGRESS')
    // Without post it is the container that ends it.
    expect(job.orphans.filter(isProgressReporter)).toHaveLength(1)
    expect(left(job, [...seen, ...job.orphans])).toEqual([])
  })
})
