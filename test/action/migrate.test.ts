import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import type { JsonObject } from '../../port/types.ts'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import { onStandIn, playForPort } from '../play-for-port.ts'
import { checkWorkflow } from '../support/player/check-workflow.ts'

const FOLDER = join(import.meta.dirname, '../fixtures/migrate')
const guide = readFileSync(join(import.meta.dirname, '../../docs/migrate.md'), 'utf8')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')
const lines = (name: string) =>
  read(name)
    .split('\n')
    .filter(line => line.trim() !== '').length

describe.each(['deploy', 'scaffold', 'restart'])('the workflow %s', name => {
  test.each(['before', 'after'])('%s parses without a warning, and stands in docs/migrate.md', async when => {
    const file = `${name}-${when}.yml`
    expect(await checkWorkflow(join(FOLDER, file))).toEqual({ errors: [] })
    expect(guide).toContain(`\`\`\`yaml\n${read(file)}\`\`\``)
  })

  test('is at least 35 % shorter after, and the guide says by how much', () => {
    const [before, after] = [lines(`${name}-before.yml`), lines(`${name}-after.yml`)]
    expect(after / before).toBeLessThanOrEqual(0.65)
    expect(guide).toContain(`${before} lines before, ${after} after`)
  })
})

test('the guide shows what migrate makes of the deployment', () => {
  const { text } = migrateWorkflow(read('deploy-before.yml'), {
    eventType: 'deploy',
    action: 'org/port-webhook-action@v1',
    credentials: false,
    keepLogs: false,
  })
  expect(guide).toContain(`\`\`\`yaml\n${text}\`\`\``)
})

const RUN_ID = 'r_Q0YotCZMKxDLdlaU'

/** Plays what a workflow has become; `blueprints` are all that Port knows. */
function play(name: string, command: string, about: JsonObject, blueprints?: Record<string, JsonObject>) {
  const invocation = readInvocation({
    run: { id: RUN_ID },
    action: { identifier: `${name}_service` },
    ...about,
  })
  const options = blueprints ? { blueprints } : {}
  return playForPort({ yaml: onStandIn(read(`${name}-after.yml`)) }, invocation, [command], options)
}
/** Would be more than one text, were it put into YAML as it is. */
const TYPED = 'x"\n- blueprint: user\n  identifier: "me'
const deploy = (blueprints?: Record<string, JsonObject>) =>
  play('deploy', 'deploy.sh', { inputs: { version: TYPED, environment: 'it\'s "prod"' } }, blueprints)
const scaffold = (service_name: string, blueprints?: Record<string, JsonObject>) =>
  play('scaffold', 'gh', { inputs: { service_name, template: 'node' } }, blueprints)

test('the deployment calls its script, and writes its entity, whatever was typed', async () => {
  const { run, calls, entities } = await deploy()
  expect(calls.join('\n')).toBe(`deploy.sh ${TYPED} it's "prod"\n`)
  expect(entities).toMatchObject([
    {
      blueprint: 'deployment',
      identifier: expect.stringMatching(/^deployment-\d+$/),
      properties: { version: TYPED, environment: 'it\'s "prod"' },
      runId: RUN_ID,
    },
  ])
  expect(run.status).toBe('SUCCESS')
})

test.each(['cart', 'cart:'])('the scaffold makes the repository %s, and writes its service', async name => {
  const { run, log, calls, entities, serverUrl } = await scaffold(name)
  expect(calls).toEqual([`gh repo create acme/${name} --private --template acme/node`, ''])
  const url = `${serverUrl}/acme/${name}`
  expect(entities).toMatchObject([
    { blueprint: 'service', identifier: name, properties: { url }, runId: RUN_ID },
  ])
  expect(log).toContain(`Created ${url}\n`)
  expect(run.status).toBe('SUCCESS')
})

test.each([
  ['deployment', deploy],
  ['scaffold', (known: Record<string, JsonObject>) => scaffold('cart', known)],
])('a %s whose entity Port refuses ends in failure, as it did before', async (_name, start) => {
  const { run, entities } = await start({ other: {} })
  expect(entities).toEqual([])
  expect(run.status).toBe('FAILURE')
})

test('the restart restarts the entity that the action ran on', async () => {
  const { run, calls } = await play('restart', 'kubectl', { inputs: {}, entity: { identifier: 'shop' } })
  expect(calls).toEqual([
    'kubectl rollout restart deployment/shop',
    'kubectl rollout status deployment/shop --timeout=5m',
    '',
  ])
  expect(run.status).toBe('SUCCESS')
})
