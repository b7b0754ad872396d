import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { encryptWith } from '../action/encrypt.ts'
import { temporaryFolder } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { CLEAR } from './clear-texts.ts'
import { type House, openHouse } from './open-house.ts'
import { REPOSITORY } from './open-stage.ts'

/** Those that steps use. */
const { wish, ...USED } = CLEAR

/** Its steps do all that a step can do with a secret that it was given. */
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

const ended = (run: { status: string }) =>
  until(() => run.status !== 'IN_PROGRESS', 'Port hears of the end', 40_000)
const said = (run: { logs: { message: string }[] }) => run.logs.map(log => log.message).join('\n')

async function success({ deliver, play: simulate }: House) {
  const delivered = await deliver()
  const { played: simulated, steps } = await simulate(
    delivered,
    workflow({
      summary: SUMMARY,
      'status-label': 'With ${{ steps.port.outputs.token }}',
      end: `${NOTE}; sleep 3`,
    }),
  )
  await ended(delivered.portRun)
  expect(delivered.portRun).toMatchObject({
    status: 'SUCCESS',
    summary: expect.stringMatching(/^With \*\*\*:\n\*\*\*/),
  })
  expect(said(delivered.portRun)).toMatch(/^token is \*\*\*, of \{"version":"1\.4\.2"/m)
  expect(steps['Use token']!.annotations.map(({ message }) => message)).toEqual([
    '***',
    expect.stringContaining('***'),
  ])
  expect(simulated.jobs[0]!.outputs).toEqual({ version: '1.4.2' })
  return delivered
}

async function failure({ deliver, play: simulate }: House) {
  const delivered = await deliver()
  await simulate(delivered, workflow({ live: 'false', end: 'echo "::error::failed with $TOKEN"; exit 1' }))
  await ended(delivered.portRun)
  expect(delivered.portRun).toMatchObject({ status: 'FAILURE', summary: expect.stringContaining('(secret)') })
}

/** The relay ends it, and sends the last lines of the job's log. */
async function failureTheRelayTells({ deliver, play: simulate }: House) {
  const delivered = await deliver()
  await simulate(delivered, workflow({ report: 'workflow', live: 'false', end: 'exit 1' }))
  await ended(delivered.portRun)
  expect(said(delivered.portRun)).toContain('the last words: [masked] [masked]')
}

async function killed({ deliver, play: simulate }: House) {
  const delivered = await deliver()
  const lost = new AbortController()
  const mark = join(temporaryFolder(), 'said')
  const isSaid = () => until(() => existsSync(mark), 'the last words were said', 40_000)
  await simulate(delivered, workflow({ end: `touch ${mark}; sleep 60` }), {
    runnerLost: lost.signal,
    onStep: ({ step }) => step.name === 'End' && void isSaid().then(() => lost.abort()),
  })
  await ended(delivered.portRun)
  expect(delivered.portRun.status).toBe('FAILURE')
  expect(said(delivered.portRun)).toContain('the last words: [masked] [masked]')
}

async function redelivered({ deliver, play: simulate, api, stage: system }: House) {
  const delivered = await deliver()
  const displayTitle = `deploy_service ${delivered.portRun.id}`
  system.github.createRun({
    repository: REPOSITORY,
    displayTitle,
    status: 'completed',
    conclusion: 'cancelled',
  })
  await ended(delivered.portRun)
  const before = system.github.dispatches.length
  expect((await api(`/${delivered.id}/redeliver`, 'POST')).status).toBe(202)
  const again = () =>
    system.github.dispatches.slice(before).find(each => each.clientPayload.run_id === delivered.portRun.id)
  const dispatch = await until(again, 'it is dispatched again')
  const { steps } = await simulate({ ...delivered, dispatch: dispatch! }, workflow({ live: 'false' }))
  expect(steps['Run ./']!.annotations).toMatchObject([
    { level: 'notice', message: expect.stringContaining('already ended') },
  ])
}

async function wrongKeys({ deliver, play: simulate }: House) {
  const token = encryptWith('x'.repeat(32), CLEAR.token)
  const delivered = await deliver({ token })
  const { steps } = await simulate(delivered, workflow({ live: 'false' }))
  expect(steps['Run ./']!.annotations).toMatchObject([
    { message: expect.stringMatching(/^The secret input "token" could not be/) },
  ])
  await ended(delivered.portRun)
  expect(said(delivered.portRun)).toContain('The secret input "token" could not be decrypted')
}

async function duplicate({ play: simulate }: House, delivered: Awaited<ReturnType<House['deliver']>>) {
  const { steps } = await simulate(delivered, workflow({ live: 'false' }))
  expect(JSON.stringify(steps['Run ./']!.annotations)).toContain('already runs in another workflow run')
  expect(steps['Use token']!.outcome).toBe('skipped')
}

/** What Port has not received yet waits in the database. */
async function portAway({ deliver, play: simulate, look: poll, stage: system, places }: House) {
  const delivered = await deliver()
  await system.port.stop()
  await simulate(delivered, workflow({ live: 'false', summary: SUMMARY, end: 'exit 1' }))
  await poll()
  const outbox = Object.keys(places).find(place => /table .*outbox$/.test(place))!
  expect(places[outbox]).toContain('With ***:')
  await system.port.start()
  await ended(delivered.portRun)
  return delivered
}

async function refused({ stage: system, places }: House) {
  const { status, body } = await send(system.url, {
    secret: 'a wrong one',
    body: { inputs: { token: CLEAR.token } },
  })
  expect(status).toBe(401)
  places['what a webhook is answered'] = JSON.stringify(body)
}

test('no clear text of a secret input is found in what GitHub shows or gets, Port gets, the relay prints or keeps, whatever happens', {
  timeout: 90_000,
}, async () => {
  const house = await openHouse({})
  const [delivered] = await Promise.all([
    success(house),
    failure(house),
    failureTheRelayTells(house),
    killed(house),
    redelivered(house),
    wrongKeys(house),
    refused(house),
  ])
  await duplicate(house, delivered)
  await portAway(house)
  await house.api('')
  await house.api(`/${delivered.id}`)
  expect(await house.search()).toEqual([])
  for (const place of ['table deliveries', 'what GitHub got'])
    expect(house.places[place], place).toContain(delivered.inputs.token)
  // What stands further on in a row may be on two pages.
  const files = Object.entries(house.places).filter(([place]) => place.startsWith('file relay.db'))
  expect(files.map(([, bytes]) => bytes).join('\n')).toContain(delivered.portRun.id)
  expect(house.places['what Port got']).toContain('***')
})

test('nor is one with the relay on PostgreSQL', { timeout: 90_000 }, async () => {
  const house = await openHouse({ RELAY_DATABASE: await newDatabase() })
  const delivered = await portAway(house)
  expect(await house.search()).toEqual([])
  expect(house.places['table public.deliveries']).toContain(delivered.inputs.token)
})
