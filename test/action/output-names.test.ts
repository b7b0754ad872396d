import { expect, test } from 'vitest'
import { openStage, ownSteps, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

test('an input named as a fixed output, or as none can be, stays in the output inputs, with a warning', async () => {
  const stage = await openStage()
  const inputs = {
    Action: 'mine',
    size: 'L',
    Size: 'XL',
    'a=b': 1,
    'c<<d': 2,
    'at@b\\c': 'kept',
    __proto__x: 'kept',
  }
  const played = await stage.play({ clientPayload: payloadFor('r_Q0YotCZMKxDLdlaU', inputs) })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/output-names.yml')
  const { main } = ownSteps(played.jobs[0]!)
  expect(JSON.parse(main.outputs.inputs!)).toEqual(inputs)
})
