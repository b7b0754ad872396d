import { expect, test } from 'vitest'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

const workflow = (build: string, inputs: Record<string, string>) => `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: ${build}
  report:
    needs: build
    if: always()
    runs-on: ubuntu-latest
    steps:${action({ needs: '${{ toJSON(needs) }}', ...inputs })}
`

test.each([
  ['exit 1', { status: 'FAILURE', statusLabel: 'Failed' }],
  ['exit 0', { status: 'SUCCESS', statusLabel: 'Succeeded' }],
])('with needs, the jobs before count: build is "%s"', async (build, expected) => {
  const stage = await openStage()
  const played = await stage.play({ yaml: workflow(build, {}) })
  await expect(transcript(played, stage)).toMatchFileSnapshot(`transcripts/needs-${expected.status}.yml`)
  expect(stage.run).toMatchObject(expected)
})

test('the summary may be given', async () => {
  const { play, run } = await openStage()
  await play({ yaml: workflow('exit 0', { summary: 'Shop **1.4.2** is live' }) })
  expect(run.summary).toBe('Shop **1.4.2** is live')
})
