import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { commands } from '../../cli/commands.ts'
import { startPortApi } from '../../simulator/port/port.ts'
import { listenHere } from '../support/listen-here.ts'
import { relayEnv, temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

/** Clears the screen, reorders text, and is a workflow command in each line. */
const HOSTILE = '::error::\u001b[2J\r\n ::add-mask::a\u2028::error::b ##[error]c\u009b2J\u202e'
const TIME = '2026-01-31T12:00:00Z'
const ROW = {
  received_at: TIME,
  delivery: 'd',
  state: 'failed',
  outcome: null,
  workflow: null,
  event_type: HOSTILE,
}
const DELIVERY = { ...ROW, action: HOSTILE, run_id: HOSTILE, repository: HOSTILE, reason: HOSTILE, ref: null }
const FREEZE = { id: '1', repositories: HOSTILE, reason: HOSTILE, until: null, deliveries: 1 }
const FOUND = { ...DELIVERY, deliveries: [DELIVERY], freezes: [FREEZE], next: null }
const GET = { ...FOUND, events: [{ time: TIME, type: 'failed', details: { [HOSTILE]: HOSTILE } }] }
const POST = { ok: false, error: 'refused', message: HOSTILE, detail: HOSTILE }

async function openCommands() {
  const server = createServer((request, response) => {
    const isAccepted = request.method === 'GET' || request.url!.includes('wait=')
    response.statusCode = isAccepted ? 200 : 422
    response.end(JSON.stringify(isAccepted ? GET : POST))
  })
  const url = `http://127.0.0.1:${await listenHere(server)}`
  const port = await startPortApi()
  onTestFinished(() => port.close())
  const folder = temporaryFolder()
  const write = (name: string, content: object) => {
    writeFileSync(join(folder, name), JSON.stringify(content))
    return join(folder, name)
  }
  const ofPort = { PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret }
  const env = {
    ...relayEnv({ PATH: process.env.PATH ?? '' }),
    RELAY_PUBLIC_URL: url,
    GITHUB_OIDC_ISSUER: url,
    RELAY_ADMIN_TOKEN: 'token-token-token',
    ...ofPort,
  }
  const callWith =
    (PORT_API_URL: string) =>
    (name: string, ...args: string[]) =>
      run(commands.find(each => each.name === name)!, args, { ...env, PORT_API_URL })
  return { port, write, call: callWith(port.url), withoutPort: callWith(url) }
}

test('values from other systems and files are printed as one line, without control characters or workflow commands', async () => {
  const { port, write, call, withoutPort } = await openCommands()
  const jobs = {
    x: { 'runs-on': 'x', steps: [{ uses: 'a/port-webhook-action@v1' }, { name: HOSTILE, run: 'true' }] },
  }
  const inputs = (name: string) => ({
    on: { workflow_dispatch: { inputs: { [name]: { type: 'environment' } } } },
    jobs,
  })
  const file = write('a.yml', inputs(HOSTILE))
  await call('generate', write('b.yml', inputs('i')), '--apply', '--yes')
  const form = port.definitions.action.get('b')!.trigger as { userInputs: { properties: object } }
  Object.assign(form.userInputs.properties, { [HOSTILE]: { type: 'string' } })
  const event = write('event.json', { action: { identifier: 'deploy' }, inputs: { [HOSTILE]: HOSTILE } })
  const exported = write('e.json', { identifier: 'e', trigger: {}, invocationMethod: { type: HOSTILE } })
  const printed = await Promise.all([
    // Ignores stdout, which contains the definition as unchanged JSON.
    call('generate', file).then(({ stderr }) => ({ stderr, stdout: '' })),
    call('generate', write(`${HOSTILE}.yml`, { on: { [HOSTILE]: null }, jobs })),
    call('generate', file, join(file, '../b.yml'), '--check'),
    withoutPort('generate', file, '--apply', '--yes'),
    call('migrate', write(`${HOSTILE}.yaml`, { on: 1 }), write('d.yaml', { on: 1 })),
    call('migrate', write(`${HOSTILE}.yaml`, { on: 1 }), '--write'),
    call('migrate', '--port-action', exported),
    call('send', event, '--dry-run'),
    call('send', write('f.json', { github: { repository: HOSTILE } }), '--dry-run'),
    call('send', event, '--wait'),
    call('simulate', '--event', event, '--workflow', write('c.yml', { on: 'repository_dispatch', jobs })),
    withoutPort('doctor'),
    ...['deliveries', 'deliveries d', 'redeliver a b', 'freezes', 'send --action deploy'].map(given => {
      const [name = '', ...args] = given.split(' ')
      return call(name, ...args)
    }),
  ])
  for (const [index, { stdout, stderr }] of printed.entries()) {
    const lines = `${stdout}\n${stderr}`.split('\n')
    expect(lines.join(''), `command ${index}`).not.toMatch(/[\p{Cc}\p{Zl}\p{Bidi_Control}]/u)
    const commands = lines.filter(line => /^\s*::|##\[/.test(line))
    const shown = lines.filter(line => line.includes('add-mask'))
    const broken = shown.filter(line => !/error.*add-mask.*error/.test(line))
    expect({ index, commands, broken, isShown: shown.length > 0 }).toEqual({
      ...{ index, commands: [], broken: [], isShown: true },
    })
  }
  const json = { ...GET, deliveries: [DELIVERY] }
  expect((await call('deliveries', '--json')).stdout).toBe(JSON.stringify(json))
})
