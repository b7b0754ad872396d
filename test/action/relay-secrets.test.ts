import { expect, test } from 'vitest'
import { knownSecrets } from '../../action/finish/known-secrets.ts'
import { findRelay } from '../../action/runner/relay-access.ts'
import { readClientPayload } from '../../port/client-payload.ts'
import type { JsonObject } from '../../port/types.ts'
import { payloadFor } from './play.ts'

const payloadWith = (port: JsonObject) => {
  const payload = payloadFor('r_1', { password: 'sealed', plain: 'b' }, { encrypted: ['password'] })
  return readClientPayload({ ...payload, port: { ...(payload.port as JsonObject), ...port } })!
}

test('the way through the relay needs its address in the payload and the permission of the job', () => {
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'r' }
  const payload = payloadWith({ relay: 'https://relay', truncated: ['entity'] })
  expect(findRelay(payload, env)).toEqual({
    url: 'https://relay',
    delivery: 'd_1',
    complete: true,
    idToken: { url: 'https://token', requestToken: 'r' },
    token: null,
  })
  expect(findRelay(payload, { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: undefined })).toBeNull()
  expect(findRelay(payload, { ...env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: undefined })).toBeNull()
  expect(findRelay(payloadWith({}), env)).toBeNull()
})

test('what must not reach Port is asked of the relay only where there are secret inputs', async () => {
  const settings = { portClientSecret: '', secretKey: 'key' } as Parameters<typeof knownSecrets>[1]
  const reader = { read: () => Promise.reject(new Error('Not asked.')) }
  let asked = 0
  const relay = (secrets: Record<string, string> | null, inputs: JsonObject | null = null) => ({
    inputs: async () => {
      asked++
      if (!secrets) throw new Error('Away.')
      const payload = inputs && { inputs, encrypted: Object.keys(inputs), entity: null, event: null }
      return { payload, secrets }
    },
  })
  const known = (port: JsonObject, ...given: Parameters<typeof relay>) =>
    knownSecrets(payloadWith(port), settings, ['password'], reader, relay(...given))
  expect(await known({ encrypted: [] }, {})).toEqual({ secrets: [], all: true })
  expect(asked).toBe(0)
  expect(await known({}, { password: 'clear' })).toEqual({ secrets: ['clear'], all: true })
  expect(await known({}, null)).toEqual({ secrets: [], all: false })
  // Main has opened it, and the relay's secret was rotated since.
  expect(await known({}, {})).toEqual({ secrets: [], all: false })
  const both = { password: 'sealed', other: 'sealed' }
  const found = { password: 'clear', other: 'found' }
  expect(await known({ encrypted: [], truncated: ['encrypted'] }, found, both)).toEqual({
    secrets: ['clear', 'found'],
    all: true,
  })
  expect(asked).toBe(4)
  // Without a relay what is away is asked of Port; what nobody gives, a step may have seen all the same.
  const sealed = payloadWith({ encrypted: ['away'], truncated: ['inputs.away'] })
  expect(await knownSecrets(sealed, settings, [], reader)).toEqual({ secrets: [], all: false })
  expect(await knownSecrets(payloadWith({}), settings, [], reader)).toEqual({ secrets: [], all: true })
  expect(await knownSecrets(payloadWith({}), settings, ['password'], reader)).toEqual({
    secrets: [],
    all: false,
  })
})
