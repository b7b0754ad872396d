import { expect, test } from 'vitest'
import type { SecretKey } from '../../port/secrets.ts'
import type { JsonObject } from '../../port/types.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { openRunner } from './open-runner.ts'
import { ownSteps, payloadFor, startSystem } from './play.ts'
import { transcript } from './transcript.ts'

const { clientSecret } = vectors['aes256-gcm']
const { privateKeyPem } = vectors['client-side']

const open = () => startSystem({ clientSecret })
const payloadOf = (inputs: JsonObject, encrypted = Object.keys(inputs)) =>
  payloadFor('r_Q0YotCZMKxDLdlaU', { version: '1.4.2', ...inputs }, { encrypted })

test.each<[SecretKey['scheme'], Record<string, string>]>([
  ['aes256-gcm', {}],
  ['client-side', { 'private-key': '${{ secrets.KEY }}' }],
])('secret inputs of scheme %s are decrypted to the texts in the test vectors', async (scheme, inputs) => {
  const system = await open()
  const { cases } = vectors[scheme]
  const sealed = Object.fromEntries(cases.map(({ encrypted }, index) => [`secret_${index}`, encrypted]))
  const simulated = await system.simulate({
    clientPayload: payloadOf(sealed),
    with: inputs,
    secrets: { PORT_CLIENT_SECRET: clientSecret, KEY: privateKeyPem },
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot(`transcripts/secret-inputs-${scheme}.yml`)
  const { main } = ownSteps(simulated.jobs[0]!)
  const clear = Object.fromEntries(cases.map(({ plaintext }, index) => [`secret_${index}`, plaintext]))
  expect(main.outputs).toMatchObject(clear)
  expect(JSON.parse(main.outputs.inputs!)).toEqual({ version: '1.4.2', ...clear })
  expect(JSON.parse(main.outputs.payload!).port.inputs).toEqual({ version: '1.4.2', ...sealed })
})

test.each<[SecretKey['scheme'], Record<string, string>, string, string]>([
  ['aes256-gcm', { 'private-key': privateKeyPem }, 'does not match', 'does not match'],
  ['client-side', {}, 'does not match', 'is not set'],
  [
    'client-side',
    { 'private-key': 'no key', 'port-client-id': '', 'port-client-secret': '' },
    'is not set',
    'does not match',
  ],
])(
  'the error for a %s input that no key decrypts names both settings and states which setting is missing',
  async (scheme, inputs, secret, key) => {
    const system = await startSystem()
    const [sealed] = vectors[scheme].cases
    const job = openRunner({ ...system, payload: payloadOf({ token: sealed!.encrypted }) }, inputs)
    const [error] = await job.run('main')
    expect(error).toContain('::error::The secret input "token" could not be decrypted. If')
    expect(error).toContain(`organization that the Port action belongs to; it ${secret}. `)
    expect(error).toContain(`public key in the Port action; it ${key}. `)
    expect(job.outputs()).not.toHaveProperty('token')
  },
)
