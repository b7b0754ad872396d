import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('a run without a payload of the relay fails, and names the event that is expected', async () => {
  const stage = await openStage()
  const played = await stage.play({ clientPayload: { version: '1.4.2' } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/no-payload.yml')
})

test('a payload of a later version fails, and says to update', async () => {
  const { play } = await openStage()
  const played = await play({ clientPayload: { run_id: 'r_1', action: 'x', port: { version: 2 } } })
  expect(annotations(ownSteps(played.jobs[0]!).main)[0]).toMatch(
    /^error: This payload is of version 2, and .*: update the action/,
  )
})

test.each([
  [
    'no JSON',
    'r_1',
    'error: The input "payload" is not JSON: give it as ${{ toJSON(…) }}. See docs/errors.md#payload',
  ],
  [
    'JSON of something else',
    '{}',
    'error: The input "payload" holds no payload of the relay: hand on the output "payload" of this action, or ' +
      '${{ toJSON(github.event.client_payload) }} of a repository_dispatch event. See docs/errors.md#payload',
  ],
])('an input "payload" that is %s fails, and says what to hand on', async (_, payload, message) => {
  const { play } = await openStage()
  const played = await play({ with: { payload } })
  expect(annotations(ownSteps(played.jobs[0]!).main)).toEqual([message])
})
