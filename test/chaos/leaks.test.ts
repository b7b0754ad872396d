import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { encryptWith } from '../action/encrypt.ts'
import { temporaryFolder } from '../support/relay.ts'
import { CLEAR, openSearched, type Searched } from './leaks.ts'

/** The inputs that the steps use. */
const { wish, ...USED } = CLEAR

/** A workflow whose steps do everything that a step can do with a secret. */
const workflow = ({ end = 'echo well', ...inputs }: Record<string, string> = {}) => `
on: { repository_dispatch: { types: [deploy_service] } }
run-name: \${{ github.event.client_payload.action }} \${{ github.event.client_payload.run_id }}
permissions: { id-token: write, actions: read }
jobs:
  deploy:
    runs-on: ubuntu-latest
    outputs:
      token: \${{ steps.port.outputs.token }}
      version: \${{ steps.port.outputs.version }}
    steps:
      - uses: ./
        id: port
        with:
${lines({ 'private-key': '${{ secrets.KEY }}', ...inputs }, (name, value) => `          ${name}: ${JSON.stringify(value)}`)}
${lines(
  USED,
  name => `
      - name: Use ${name}
        env: { VALUE: "\${{ steps.port.outputs.${name} }}", ALL: "\${{ steps.port.outputs.inputs }}" }
        run: |
          echo "$VALUE"; echo "$VALUE" >&2; echo "$ALL"
          echo "$VALUE" >> "$PORT_LOG"; echo "${name} is $VALUE, of $ALL" >> "$PORT_LOG"
          echo "::warning::$VALUE"; echo "::error title=${name}::of $ALL"`,
)}
      - name: End
        env: { KEY: "\${{ steps.port.outputs.key }}", TOKEN: "\${{ steps.port.outputs.token }}" }
        run: |
          printf %s "$TOKEN" | base64; echo "the last words: $TOKEN $KEY"
          ${end}
`
const lines = (all: Record<string, string>, line: (name: string, value: string) => string) =>
  Object.entries(all)
    .map(entry => line(...entry))
    .join('\n')
const NOTE = `echo '{ blueprint: service, identifier: shop, properties: { note: "\${{ steps.port.outputs.wish }}" } }' >> "$PORT_ENTITIES"`
const SUMMARY =
  'With ${{ steps.port.outputs.token }}:\n${{ steps.port.outputs.key }}, of ${{ steps.port.outputs.inputs }}'

const finished = (run: { status: string }) =>
  until(() => run.status !== 'IN_PROGRESS', 'the run is finished in Port')
const logOf = (run: { logs: { message: string }[] }) => run.logs.map(log => log.message).join('\n')

async function success({ deliver, simulate }: Searched) {
  const delivered = await deliver()
  const inputs = { summary: SUMMARY, 'status-label': 'With ${{ steps.port.outputs.token }}' }
  const { played: simulated, steps } = await simulate(
    delivered,
    workflow({ ...inputs, end: `${NOTE}; sleep 3` }),
  )
  await finished(delivered.portRun)
  const summary = expect.stringMatching(/^With \*\*\*:\n\*\*\*/)
  expect(delivered.portRun).toMatchObject({ status: 'SUCCESS', summary })
  expect(logOf(delivered.portRun)).toMatch(/^token is \*\*\*, of \{"version":"1\.4\.2"/m)
  expect(steps['Use token']!.annotations.map(({ message }) => message)).toEqual([
    '***',
    expect.stringContaining('***'),
  ])
  expect(simulated.jobs[0]!.outputs).toEqual({ version: '1.4.2' })
  return delivered
}

async function failure({ deliver, simulate }: Searched) {
  const delivered = await deliver()
  await simulate(delivered, workflow({ live: 'false', end: 'echo "::error::failed with $TOKEN"; exit 1' }))
  await finished(delivered.portRun)
  expect(delivered.portRun).toMatchObject({ status: 'FAILURE', summary: expect.stringContaining('(secret)') })
}

async function killed({ deliver, simulate }: Searched) {
  const delivered = await deliver()
  const lost = new AbortController()
  const mark = join(temporaryFolder(), 'printed')
  const isPrinted = () => until(() => existsSync(mark), 'the last words are printed')
  await simulate(delivered, workflow({ end: `touch ${mark}; sleep 60` }), {
    runnerLost: lost.signal,
    onStep: ({ step }) => step.name === 'End' && void isPrinted().then(() => lost.abort()),
  })
  await finished(delivered.portRun)
  expect(delivered.portRun.status).toBe('FAILURE')
  expect(logOf(delivered.portRun)).toContain('the last words: [masked] [masked]')
}

async function wrongKeys({ deliver, simulate }: Searched) {
  const token = encryptWith('x'.repeat(32), CLEAR.token)
  const delivered = await deliver({ token })
  const { steps } = await simulate(delivered, workflow({ live: 'false' }))
  expect(steps['Run ./']!.annotations).toMatchObject([
    { message: expect.stringMatching(/^The secret input "token" couldn't be/) },
  ])
  await finished(delivered.portRun)
  expect(logOf(delivered.portRun)).toContain('The secret input "token" couldn\'t be decrypted')
}

async function duplicate({ simulate }: Searched, delivered: Awaited<ReturnType<Searched['deliver']>>) {
  const { steps } = await simulate(delivered, workflow({ live: 'false' }))
  expect(JSON.stringify(steps['Run ./']!.annotations)).toContain('already belongs to another workflow run')
  expect(steps['Use token']!.outcome).toBe('skipped')
}

/** Stops Port for a while, so that unsent messages stay in the database. */
async function portDown({ deliver, simulate, readDatabase, system, places }: Searched) {
  const delivered = await deliver()
  await system.port.stop()
  await simulate(delivered, workflow({ live: 'false', summary: SUMMARY, end: 'exit 1' }))
  readDatabase()
  const table = Object.keys(places).find(place => place === 'table deliveries')!
  expect(places[table]).toContain('With ***:')
  await system.port.start()
  await finished(delivered.portRun)
  return delivered
}

/** Causes every kind of refusal, and Port errors. */
async function refused({ system, post, api }: Searched) {
  system.port.fail({ status: 500, times: 2 })
  system.port.fail({ status: 401, times: 1 })
  const refusals: [number, Parameters<Searched['post']>[0]][] = [
    [401, { secret: 'a wrong one', body: { inputs: { token: CLEAR.token } } }],
    [401, { headers: { 'x-port-signature': null } }],
    [401, { timestamp: '1000000000' }],
    [401, { timestamp: 'yesterday' }],
    [400, { body: Buffer.from('{"broken') }],
    [400, { body: Buffer.from([0xff, 0xfe]) }],
    [413, { body: 'x'.repeat(1_100_000) }],
    [415, { headers: { 'content-type': 'text/plain' } }],
    [403, { path: '/webhook/other/shop' }],
    [422, { body: { github: { repository: '../etc' } } }],
    [404, { path: '/elsewhere' }],
  ]
  for (const [status, webhook] of refusals)
    expect(await post(webhook), JSON.stringify(webhook.path)).toBe(status)
  expect((await api('?state=x')).status).toBe(400)
  expect((await api('/none')).status).toBe(404)
}

test("no secret or decrypted input appears on GitHub, in Port, or in the relay's responses, output, or database", async () => {
  const searched = await openSearched()
  const [delivered] = await Promise.all([
    success(searched),
    failure(searched),
    killed(searched),
    wrongKeys(searched),
    refused(searched),
  ])
  await duplicate(searched, delivered)
  await portDown(searched)
  await searched.api('')
  await searched.api(`/${delivered.id}`)
  expect(await searched.search()).toEqual([])
  for (const place of ['table deliveries', 'what GitHub got'])
    expect(searched.places[place], place).toContain(delivered.inputs.token)
  expect(searched.places['what the relay responds']).not.toMatch(/\n\s+at .+:\d+:\d+|node_modules|file:\/\//)
  // A value at the end of a row can be split over two pages.
  const files = Object.entries(searched.places).filter(([place]) => place.startsWith('file relay.db'))
  expect(files.map(([, bytes]) => bytes).join('\n')).toContain(delivered.portRun.id)
  expect(searched.places['what Port got']).toContain('***')
})
