import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor, told } from './play.ts'

const ID = 'wfnr_Zy98Xw76Vu54Ts32'
const PATH = `/v1/workflows/nodes/runs/${ID}`

test('a node run of a Port workflow is told of link, log and result, its output whole each time', async () => {
  const { play, port, runUrl } = await openStage()
  port.createNodeRun({ id: ID })
  const played = await play({ clientPayload: payloadFor(ID), steps: '- { name: Deploy, run: exit 1 }' })

  expect(played.conclusion).toBe('failure')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect([...annotations(main), ...annotations(post)]).toEqual([])
  const token = `POST /v1/auth/access_token {"clientId":"${port.clientId}","clientSecret":"${port.clientSecret}"}`
  const link = { workflowRunUrl: runUrl(), workflowRunId: 16000000042 }
  const links = { links: [runUrl()], externalRunId: '16000000042' }
  const summary = '…'
  expect(told(port)).toEqual([
    token,
    `PATCH ${PATH} ${JSON.stringify({ status: 'IN_PROGRESS', output: { ...link, statusLabel: 'Running' }, ...links })}`,
    `POST ${PATH}/logs ${JSON.stringify({ logs: [{ level: 'INFO', message: `Workflow run started: ${runUrl()}` }] })}`,
    token,
    `POST ${PATH}/logs ${JSON.stringify({
      logs: [
        { level: 'ERROR', message: '✗ Deploy: failure (N s)' },
        { level: 'ERROR', message: '✗ Job deploy: failure after N s' },
      ],
    })}`,
    `PATCH ${PATH} ${JSON.stringify({ status: 'COMPLETED', result: 'FAILED', output: { ...link, statusLabel: 'Failed', summary }, ...links })}`,
  ])
  expect(port.nodeRun(ID)).toMatchObject({ status: 'COMPLETED', result: 'FAILED' })
})
