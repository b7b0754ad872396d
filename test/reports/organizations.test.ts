import { expect, test } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { startSystem } from './open-stage.ts'

const scheme = vectors['aes256-gcm']
const [sealed] = scheme.cases

/** A delivery that another organization has signed, with a cipher text of the first one's among its inputs. */
async function deliverOther(entry: string, secret: string) {
  const system = await startSystem({ PORT_WEBHOOK_SECRETS: `rotation:${scheme.clientSecret}, ${entry}` })
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['token'] }
  const body = { action, inputs: { token: sealed!.encrypted } }
  const { id } = await system.deliver({ body, secret })
  return { stage: system, id }
}

test.each([
  ['with credentials of its own', 'their-client-id:secret-of-theirs', 'secret-of-theirs'],
  ['without credentials', 'secret-that-verifies', 'secret-that-verifies'],
])('an organization %s has no cipher text of another one decrypted', async (_, entry, secret) => {
  const { stage: system, id } = await deliverOther(entry, secret)
  const token = system.issuer.token(system.run(), system.url)
  const response = await system.post('/report/start', token, { delivery: id })
  expect(response.status).toBe(200)
  expect(response.body.secrets).toEqual({})
})
