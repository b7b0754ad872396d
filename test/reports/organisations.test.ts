import { expect, test } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { openStage } from './open-stage.ts'

const scheme = vectors['aes256-gcm']
const [sealed] = scheme.cases

/** A delivery that another organisation has signed, with a cipher text of the first one's among its inputs. */
async function deliverOther(entry: string, secret: string) {
  const stage = await openStage({ PORT_WEBHOOK_SECRETS: `rotation:${scheme.clientSecret}, ${entry}` })
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['token'] }
  const body = { action, inputs: { token: sealed!.encrypted } }
  const { id } = await stage.deliver({ body, secret })
  return { stage, id }
}

test.each([
  ['with credentials of its own', 'their-client-id:secret-of-theirs', 'secret-of-theirs'],
  ['without credentials', 'secret-that-verifies', 'secret-that-verifies'],
])('an organisation %s has no cipher text of another one decrypted', async (_, entry, secret) => {
  const { stage, id } = await deliverOther(entry, secret)
  const token = stage.issuer.token(stage.run(), stage.url)
  const answer = await stage.post('/report/start', token, { delivery: id })
  expect(answer.status).toBe(200)
  expect(answer.body.secrets).toEqual({})
})
