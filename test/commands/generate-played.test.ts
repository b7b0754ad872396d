import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { packClientPayload } from '../../port/payload.ts'
import type { JsonObject } from '../../port/types.ts'
import { generate } from '../../relay/cli/generate.ts'
import { RECOMMENDED_BODY } from '../../tools/generate/invocation-method.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { type PortApi, startPortApi } from '../../tools/simulator/port/port.ts'
import { runWorkflow } from '../../tools/simulator/runner/workflow.ts'
import { encryptWith } from '../action/encrypt.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

type PortRun = ReturnType<PortApi['createRun']>

const properties = {
  service: { type: 'string' },
  replicas: { type: 'number' },
  dryRun: { type: 'boolean' },
  config: { type: 'object' },
  action: { type: 'string' },
  token: { type: 'string', encryption: 'aes256-gcm' },
  'a@b=c': { type: 'array', items: { type: 'string' } },
}
const texts = { service: 'it\'s "$HOME"', action: 'clashes' }
const typed = { ...texts, replicas: 2, dryRun: false, config: { a: [1] }, 'a@b=c': ['x', 'y'] }

/** The inputs that the relay, or a user on GitHub, passes to the workflow. */
const DECLARED = { ...texts, replicas: '2', dryRun: 'false', config: '{"a":[1]}' }
const action = {
  identifier: 'deploy',
  title: 'Deploy it',
  trigger: { type: 'self-service', operation: 'DAY-2', userInputs: { properties, required: [] } },
  invocationMethod: { type: 'WEBHOOK', url: 'https://relay.example.com/webhook', body: RECOMMENDED_BODY },
}
const SHOWN = Object.entries(DECLARED).map(([name, value]) => `INPUT_${name.toUpperCase()}=${value}`)

/** The generated workflow with a step that prints its inputs. */
async function workflowFor(event: string): Promise<string> {
  const file = join(temporaryFolder(), 'action.json')
  writeFileSync(file, JSON.stringify(action))
  const { stdout } = await run(generate, [file, '--event', event, '--client-secret'])
  return `${stdout}\n`.replace(
    'echo "Replace this step with your own"',
    `{ env | grep -E '^(INPUT_|ENTITY)' | sort; echo "list: $(tr -d ' \\n' <<< "$INPUT_A_B_C")"; }`,
  )
}

/** Runs the generated workflow with a fake Port and a fake GitHub. */
async function play(event: string, payload: (port: PortApi, run: PortRun) => object) {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(() => Promise.all([port.close(), github.close()]).then(() => {}))
  github.addRepository('acme/shop')
  const shown = port.createRun()
  const simulated = await runWorkflow({
    yaml: await workflowFor(event),
    event: { name: event, payload: payload(port, shown) as JsonObject },
    ...{ repository: 'acme/shop', github, env: { PATH: process.env.PATH! } },
    vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    secrets: { PORT_CLIENT_SECRET: port.clientSecret },
  })
  expect(simulated.conclusion).toBe('success')
  return { simulated, shown, github }
}

test('a generated workflow_dispatch workflow works for a user who starts it on GitHub', async () => {
  const { simulated } = await play('workflow_dispatch', () => ({ inputs: { ...DECLARED, port: '' } }))
  const { steps } = simulated.jobs[0]!
  expect(steps.find(({ id }) => id === 'port')).toMatchObject({ conclusion: 'skipped' })
  const work = steps.find(({ name }) => name === 'Do the work')
  for (const line of [...SHOWN, 'ENTITY=', 'INPUT_TOKEN=']) expect(work!.log).toContain(`${line}\n`)
})

test.each(['workflow_dispatch', 'repository_dispatch'])(
  'a generated %s workflow passes each input to its step and finishes the Port run',
  async event => {
    const { shown, github } = await play(event, (port, run) => {
      const invocation = readInvocation({
        inputs: { ...typed, token: encryptWith(port.clientSecret, 'a-token-in-clear-text') },
        ...{ trigger: { by: null, operation: 'DAY-2' }, entity: { identifier: 'shop' } },
        ...{ action: { identifier: 'deploy', encryptedProperties: ['token'] }, run: { id: run.id } },
      })
      const payload = packClientPayload(invocation, { delivery: 'd_1', relay: null })
      return event === 'workflow_dispatch'
        ? { inputs: { port: JSON.stringify(payload), ...DECLARED } }
        : { event_type: 'deploy', client_payload: payload }
    })
    expect(shown.status).toBe('SUCCESS')
    const log = shown.logs.map(({ message }) => message).join('\n')
    for (const line of [...SHOWN, 'ENTITY=shop', 'INPUT_TOKEN=***']) expect(log).toContain(`${line}\n`)
    expect(log).toContain('list: ["x","y"]')
    expect(log).not.toContain('a-token-in-clear-text')
    const title = event === 'workflow_dispatch' ? 'Deploy it' : 'deploy'
    expect(github.runs.map(each => each.displayTitle)).toEqual([`${title} ${shown.id}`])
  },
)
