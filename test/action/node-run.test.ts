import { expect, test } from 'vitest'
import { openStage, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

const ID = 'wfnr_Zy98Xw76Vu54Ts32'

test('a node run of a Port workflow is told of link, log and result, its output whole each time', async () => {
  const stage = await openStage()
  stage.port.createNodeRun({ id: ID })
  const played = await stage.play({ clientPayload: payloadFor(ID), steps: '- { name: Deploy, run: exit 1 }' })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/node-run.yml')
  expect(stage.port.nodeRun(ID)).toMatchObject({ status: 'COMPLETED', result: 'FAILED' })
})
