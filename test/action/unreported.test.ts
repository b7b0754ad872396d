import { expect, test } from 'vitest'
import { openRunner, seeAlso } from './open-runner.ts'
import { ownSteps, startSystem, workflow } from './play.ts'

// Tests jobs that can report nowhere: the relay has no address for reports, and the job has no Port credentials.

const NONE = { 'port-client-id': '', 'port-client-secret': '' }
const WITHOUT_CREDENTIALS = (inputs = '', id = 'port') => `
      - { uses: ./, id: ${id}, with: { live: "false"${inputs} } }`

const writing = (text: string, file: string) => `
      - run: |
          echo '${text}' >> "$${file}"`

test('one notice says what reaches Port and what does not, and a job that writes nothing gets no warning', async () => {
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

const simulate = async (steps: string) => {
  const system = await startSystem()
  const { conclusion, jobs } = await system.simulate({ yaml: workflow(steps) })
  expect([system.port.requests, system.run.status]).toEqual([[], 'IN_PROGRESS'])
  const posts = jobs[0]!.steps.filter(({ kind }) => kind === 'post').map(({ stdout }) => stdout)
  return { conclusion, post: ownSteps(jobs[0]!).post.stdout, posts }
}

test('the post step names every kind of text that steps wrote, without its content', async () => {
  const { conclusion, post } = await simulate(
    WITHOUT_CREDENTIALS() +
      writing('Rolled out', 'PORT_LOG') +
      writing('::add-mask::hunter2', 'PORT_LOG') +
      writing('{"blueprint":"environment","identifier":"p7"}', 'PORT_ENTITIES') +
      writing('link=https://hunter2.example', 'PORT_RUN') +
      writing('output.url=https://7.shop.example', 'PORT_RUN'),
  )
  expect(post).toContain(
    "::warning::These texts of steps weren't sent to Port: 1 line of $PORT_LOG; $PORT_ENTITIES; $PORT_RUN (link, output).",
  )
  expect([conclusion, post.includes('hunter2')]).toEqual(['success', false])
})

test.each([
  ['conclusion=failure', '', 'failure'],
  ['conclusion=cancelled', '', 'failure'],
  ['conclusion=faild', '', 'failure'],
  ['conclusion=success', '', 'success'],
  ['conclusion=failure', ', report: updates', 'success'],
  ['summary=Done', ', fail-on-report-error: "true"', 'failure'],
  ['summary=Done', '', 'success'],
  ['conclusion=failure', ', report: "off"', 'success'],
])(
  '%s in $PORT_RUN with these inputs (%j) lets the job conclude with %s',
  async (entry, inputs, expected) => {
    const { conclusion, post } = await simulate(WITHOUT_CREDENTIALS(inputs) + writing(entry, 'PORT_RUN'))
    expect(conclusion).toBe(expected)
    const fails = post.includes('"conclusion" in $PORT_RUN isn\'t success')
    expect(fails).toBe(expected === 'failure' && entry.startsWith('conclusion'))
  },
)

test('two steps of the action in one job print one warning', async () => {
  const { posts } = await simulate(
    WITHOUT_CREDENTIALS() + WITHOUT_CREDENTIALS('', 'again') + writing('Rolled out', 'PORT_LOG'),
  )
  expect(posts.filter(text => text.includes("weren't sent to Port"))).toHaveLength(1)
})
