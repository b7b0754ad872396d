import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

test.each(['workflow', 'progress'])(
  'report: %s tells of start, steps and log, and never ends the Port run',
  async report => {
    const stage = await openStage()
    const played = await stage.play({ with: { report, 'status-label': 'Deploying' } })
    await expect(transcript(played, stage)).toMatchFileSnapshot(`transcripts/report-${report}.yml`)
    expect(stage.run.status).toBe('IN_PROGRESS')
  },
)

test("report: progress gives Port a summary of the author's own", async () => {
  const { play, run } = await openStage()
  await play({ with: { report: 'progress', summary: '**Half way**' } })
  expect(run).toMatchObject({ status: 'IN_PROGRESS', summary: '**Half way**' })
})

test('report: off tells Port nothing, and says so in the log', async () => {
  const stage = await openStage()
  const played = await stage.play({ with: { report: 'off' } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/report-off.yml')
})

test('a payload that names no run in Port gives the outputs, and nothing is told', async () => {
  const stage = await openStage()
  const clientPayload = {
    run_id: null,
    action: null,
    port: { version: 1, delivery: 'd_1', kind: 'none', inputs: { a: 1 } },
  }
  const played = await stage.play({ clientPayload })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/no-run.yml')
})
