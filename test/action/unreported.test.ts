import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type InProcessRunner, openRunner, seeAlso } from './open-runner.ts'
import { startSystem } from './play.ts'

// Tests jobs that can report nowhere: the relay has no address for reports, and the job has no Port credentials.

const NONE = { 'port-client-id': '', 'port-client-secret': '' }

test('one notice says what reaches Port, and a job that writes nothing gets no warning', async () => {
  const system = await startSystem()
  const job = openRunner(system, NONE)
  const [notice, ...others] = await job.run('main')
  expect(notice).toMatch(/^::notice::This job reports nothing to Port, because .*RELAY_PUBLIC_URL/)
  expect(notice).toContain(
    'link, attempt, result, failed steps with the end of their logs, waits, and approvals.',
  )
  expect(notice).toContain(
    'the running step, $PORT_LOG, entities, outputs, summary, and "conclusion" in $PORT_RUN.',
  )
  expect(notice).toContain(seeAlso('credentials'))
  expect([others, await job.post()]).toEqual([[], []])
  expect(system.port.requests).toEqual([])
})

/** Runs main, then appends a line to the file in this variable, as a step does. */
async function write(job: InProcessRunner, file: string, line: string) {
  await job.run('main')
  const [, path] = new RegExp(`^${file}<<.*\n(.*)$`, 'm').exec(readFileSync(join(job.folder, 'env'), 'utf8'))!
  appendFileSync(path!, `${line}\n`)
}

test('the post step names every kind of text that steps wrote, once per job, but not the text itself', async () => {
  const system = await startSystem()
  const job = openRunner(system, NONE)
  await write(job, 'PORT_LOG', 'Rolled out')
  await write(job, 'PORT_LOG', '::add-mask::hunter2')
  await write(job, 'PORT_ENTITIES', '{"blueprint":"environment","identifier":"p7"}')
  await write(job, 'PORT_RUN', 'link=https://hunter2.example\noutput.url=https://7.shop.example')
  expect(await job.post()).toEqual([
    `::warning::These texts of steps weren't sent to Port: 1 line of $PORT_LOG; $PORT_ENTITIES; $PORT_RUN (link, output).${seeAlso('credentials')}`,
  ])
  // The post step of another step that uses the action.
  expect(await job.post()).toEqual([])
  expect([process.exitCode === 1, system.port.requests, system.run.status]).toEqual([
    false,
    [],
    'IN_PROGRESS',
  ])
})

test.each<[string, Record<string, string>, 'failure' | 'success']>([
  ['conclusion=failure', {}, 'failure'],
  ['conclusion=cancelled', {}, 'failure'],
  ['conclusion=faild', {}, 'failure'],
  ['conclusion=success', {}, 'success'],
  ['conclusion=failure', { report: 'updates' }, 'success'],
  ['summary=Done', { 'fail-on-report-error': 'true' }, 'failure'],
  ['summary=Done', {}, 'success'],
  ['conclusion=failure', { report: 'off' }, 'success'],
])('with %s in $PORT_RUN and the inputs %j, the post step is a %s', async (entry, inputs, expected) => {
  const job = openRunner(await startSystem(), { ...NONE, ...inputs })
  await write(job, 'PORT_RUN', entry)
  const post = (await job.post()).join('\n')
  expect(process.exitCode === 1).toBe(expected === 'failure')
  const fails = post.includes('"conclusion" in $PORT_RUN isn\'t success')
  expect(fails).toBe(expected === 'failure' && entry.startsWith('conclusion'))
})
