import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, RUN_PATH, told, withoutTimes } from './play.ts'

test('a run that Port could not be told of at the start is reported whole at the end, link included', async () => {
  const { play, port, run, runUrl } = await openStage()
  port.fail({
    match: ({ method }) => method === 'GET',
    status: 503,
    headers: { 'retry-after': '0' },
    times: 5,
  })
  const played = await play()

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toEqual([
    `warning: Port could not be told: Port (${new URL(port.url).host}) answered 503 to GET ${RUN_PATH} ` +
      '(internal_error: An internal error occurred): Port has trouble of its own; try again. See docs/errors.md#port',
  ])
  expect(annotations(post)).toEqual([])
  const calls = told(port).map(line => line.replace(/ \{.*/, ''))
  const start = ['POST /v1/auth/access_token', ...Array(5).fill(`GET ${RUN_PATH}?version=v2`)]
  const end = ['POST /v1/auth/access_token', `GET ${RUN_PATH}?version=v2`]
  expect(calls).toEqual([...start, ...end, `POST ${RUN_PATH}/logs`, `PATCH ${RUN_PATH}`])
  expect(run).toMatchObject({ status: 'SUCCESS', link: [runUrl()], externalRunId: '16000000042' })
  expect(run.logs.map(log => withoutTimes(log.message))).toEqual([
    '✓ Build image (N s)\n✓ Job deploy: success after N s',
  ])
})
