import { describe, expect, test } from 'vitest'
import { openReceiving } from './support/receiving.ts'

const open = () => openReceiving({ env: { RELAY_ALLOWED_REPOSITORIES: 'acme/*' } })

describe('a target in the signed body', () => {
  test.each([
    { repository: ['acme/other'] },
    { repository: 7 },
    { repository: false },
    { repository: { name: 'acme/other' } },
    { event_type: 5 },
    { event_type: ['deploy'] },
    { reportWorkflowStatus: 'no' },
  ])('is refused with 422 if it is %j', async github => {
    const must = 'reportWorkflowStatus' in github ? 'true or false' : 'a string'
    const detail = `"github.${Object.keys(github)}" in the body must be ${must}: correct or remove it in the "body" of the Port action.`
    const refusal = { status: 422, body: { detail } }
    expect(await (await open()).post({ body: { v: 1, github } })).toMatchObject(refusal)
  })

  test('counts as not set if it is null or an empty string', async () => {
    const relay = await open()
    for (const nothing of [null, '']) {
      const github = { repository: nothing, event_type: nothing }
      const body = { repository: 'acme/shop', event_type: 'port_action' }
      expect(await relay.post({ body: { nothing, github } })).toMatchObject({ status: 202, body })
    }
    const github = { repository: 'acme/other', event_type: null }
    expect((await relay.post({ body: { github } })).body).toMatchObject({ repository: 'acme/other' })
  })
})
