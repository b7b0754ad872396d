import { expect, test } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { startSystem } from './open-stage.ts'

const scheme = vectors['aes256-gcm']
const [encrypted] = scheme.cases

test("the relay does not decrypt an encrypted input with another organization's secret", async () => {
  const system = await startSystem({
    PORT_PREVIOUS_SECRETS: scheme.clientSecret,
    PORT_ORGANIZATIONS: 'their-client-id:secret-of-theirs',
  })
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['token'] }
  const body = { action, inputs: { token: encrypted!.encrypted } }
  const { id } = await system.deliver({ body, secret: 'secret-of-theirs' })
  const token = system.issuer.token(system.run(), system.url)
  const response = await system.post('/report/start', token, { delivery: id })
  expect(response.status).toBe(200)
  expect(response.body.secrets).toEqual({})
})
