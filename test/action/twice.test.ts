import { expect, test } from 'vitest'
import { openRunner } from './open-runner.ts'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('the action used twice in a job gives its outputs twice, and reports once', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ progress: 'false' })}
      - run: echo between >> "$PORT_LOG"${action({}, 'again')}
      - run: test "$A" = "$B"
        env:
          A: \${{ steps.port.outputs.payload }}
          B: \${{ steps.again.outputs.payload }}
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/twice.yml')
})

test('what the second step has to tell is a warning that names it, since only the first one reports', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { report: 'progress' })
  await job.run('main')
  const asked = stage.port.requests.length
  const remark = 'An earlier step of this job reports this run to Port.'
  const warning = (unused: string) =>
    `::warning::${remark} Give it what is not used here: ${unused}. See ` +
    'https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#inputs'
  expect(await job.run('main')).toEqual([remark])
  expect(await job.run('main', { INPUT_REPORT: 'job' })).toEqual([warning('report: job')])
  const more = {
    INPUT_NEEDS: '{"build":{"result":"failure"}}',
    INPUT_ENTITIES: '[{ blueprint: service, identifier: shop }]',
    INPUT_SUMMARY: 'Done.',
  }
  expect(await job.run('main', more)).toEqual([warning('needs, entities, summary')])
  expect(stage.port.requests).toHaveLength(asked)
})
