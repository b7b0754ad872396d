import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, RUN_PATH, told, toldAtStart } from './play.ts'

test.each(['workflow', 'progress'])(
  'report: %s tells of start, steps and log, and never ends the Port run',
  async report => {
    const stage = await openStage()
    const played = await stage.play({ with: { report, 'status-label': 'Deploying' } })

    expect(played.conclusion).toBe('success')
    expect(told(stage.port)).toEqual([
      ...toldAtStart(stage, 'Deploying'),
      expect.stringMatching('^POST /v1/auth/access_token'),
      `POST ${RUN_PATH}/logs {"message":"✓ Build image (N s)\\n✓ Job deploy: success after N s"}`,
    ])
    expect(stage.run.status).toBe('IN_PROGRESS')
  },
)

test("report: progress gives Port a summary of the author's own", async () => {
  const { play, run } = await openStage()
  await play({ with: { report: 'progress', summary: '**Half way**' } })
  expect(run).toMatchObject({ status: 'IN_PROGRESS', summary: '**Half way**' })
})

test('report: off tells Port nothing, and says so in the log', async () => {
  const { play, port } = await openStage()
  const { main, post } = ownSteps((await play({ with: { report: 'off' } })).jobs[0]!)
  expect(main.stdout).toContain('Port is told nothing: the input report is off.\n')
  expect(annotations(main)).toEqual([])
  expect(post.stdout).toBe('')
  expect(main.outputs.version).toBe('1.4.2')
  expect(port.requests).toEqual([])
})

test('a payload that names no run in Port gives the outputs, and nothing is told', async () => {
  const { play, port } = await openStage()
  const clientPayload = {
    run_id: null,
    action: null,
    port: { version: 1, delivery: 'd_1', kind: 'none', inputs: { a: 1 } },
  }
  const { main } = ownSteps((await play({ clientPayload })).jobs[0]!)
  expect(main.stdout).toContain('Port is told nothing: the payload names no run in Port.\n')
  expect(main.outputs).toMatchObject({ a: '1', 'run-id': '', 'triggered-by': '' })
  expect(port.requests).toEqual([])
})
