import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import type { SimulatedRun } from '../../tools/simulator/runner/types.ts'
import { encryptFor, encryptWith } from './encrypt.ts'
import { openRunner } from './open-runner.ts'
import { ownSteps, payloadFor, type System, startSystem } from './play.ts'
import { transcript } from './transcript.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/port/encryption-vectors.json', import.meta.url), 'utf8'),
)
const { clientSecret } = vectors['aes256-gcm']
const { privateKeyPem, publicKeyPem } = vectors['client-side']
const vectorsOf = (scheme: string): { plaintext: string; encrypted: string }[] => vectors[scheme].cases

const open = () => startSystem({ port: { clientSecret } })
const payloadOf = (inputs: JsonObject, encrypted = Object.keys(inputs)) =>
  payloadFor('r_Q0YotCZMKxDLdlaU', { version: '1.4.2', ...inputs }, { encrypted })

/** The part of a text's Base64 that does not depend on the neighboring bytes. */
const encoded = (text: string) =>
  [0, 1, 2].map(offset => {
    const rest = Buffer.from(text).subarray(offset)
    return rest.toString('base64').slice(0, Math.floor((rest.length * 8) / 6))
  })

/** The places that must not contain plaintext: everything that users and Port can see. */
function shown(simulated: SimulatedRun, { port, github }: System): string {
  const steps = simulated.jobs.flatMap(job => job.steps)
  return JSON.stringify([
    steps.map(({ log, summary, annotations }) => ({ log, summary, annotations })),
    port.requests.map(({ path, body }) => ({
      path,
      // Port receives its own client secret in the token request.
      body: path === '/v1/auth/access_token' ? null : body,
    })),
    github.requests.map(({ path, body }) => ({ path, body })),
    simulated.jobs.map(job => job.outputs),
  ])
}

test.each([
  ['aes256-gcm', {}],
  ['client-side', { 'private-key': '${{ secrets.KEY }}' }],
])('secret inputs of scheme %s are decrypted to match the test vectors', async (scheme, inputs) => {
  const system = await open()
  const cases = vectorsOf(scheme)
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

test('no plaintext reaches Port, GitHub, or the log, whatever steps do with it', async () => {
  const system = await open()
  const clear = {
    token: 'ghs_clear-text-of-token',
    key: '-----BEGIN KEY-----\nfirst-line-of-key\nsecond-line-of-key\n-----END KEY-----',
    login: '{"user":"clear-user","pass":"clear-pass"}',
    own: 'opened-with-the-private-key',
  }
  const clientPayload = payloadOf({
    token: encryptWith(clientSecret, clear.token),
    key: encryptWith(clientSecret, clear.key),
    login: encryptWith(clientSecret, clear.login),
    own: encryptFor(publicKeyPem, clear.own),
  })
  const steps = Object.keys(clear).map(
    name => `
- name: Use ${name}
  env: { VALUE: "\${{ steps.port.outputs.${name} }}", ALL: "\${{ steps.port.outputs.inputs }}" }
  run: |
    echo "$VALUE"; echo "$ALL"
    echo "$VALUE" >> "$PORT_LOG"
    printf %s "$VALUE" | base64 -w 0; echo
    (printf 'user:%s' "$VALUE" | base64 -w 0; echo) | tee -a "$PORT_LOG"
    echo "::warning::$VALUE"`,
  )
  const simulated = await system.simulate({
    clientPayload,
    with: { 'private-key': '${{ secrets.KEY }}' },
    secrets: { PORT_CLIENT_SECRET: clientSecret, KEY: privateKeyPem },
    steps: [...steps, '- run: sleep 2'].join('\n'),
  })
  expect(simulated.conclusion).toBe('success')
  const all = shown(simulated, system)
  const secrets = [
    ...Object.values(clear)
      .slice(0, 2)
      .flatMap(text => text.split('\n')),
    'clear-user',
    'clear-pass',
    clear.own,
    clientSecret,
    ...encoded(clear.key),
  ]
  for (const line of privateKeyPem.trim().split('\n')) secrets.push(line)
  for (const secret of secrets) expect(all.includes(secret), secret).toBe(false)
  expect(all).toContain('***')
  const logs = system.run.logs.flatMap(log => log.message.split('\n'))
  expect(logs.filter(line => line === '***')).toHaveLength(7)
  expect(system.run.summary).toContain('| token   | (secret) |')
})

test.each([
  ['aes256-gcm', { 'private-key': privateKeyPem }, 'does not fit', 'does not fit'],
  ['client-side', {}, 'does not fit', 'is not set'],
  [
    'client-side',
    { 'private-key': 'no key', 'port-client-id': '', 'port-client-secret': '' },
    'is not set',
    'does not fit',
  ],
])(
  'the error for an input of %s that no key decrypts names both settings and says which is missing',
  async (scheme, inputs, secret, key) => {
    const system = await startSystem()
    const [sealed] = vectorsOf(scheme)
    const job = openRunner({ ...system, payload: payloadOf({ token: sealed!.encrypted }) }, inputs)
    const [error] = await job.run('main')
    expect(error).toContain('::error::The secret input "token" could not be decrypted. If')
    expect(error).toContain(`organization that the Port action belongs to; it ${secret}. `)
    expect(error).toContain(`public key in the Port action; it ${key}. `)
    expect(job.outputs()).not.toHaveProperty('token')
  },
)
