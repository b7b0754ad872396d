import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Command } from '../../relay/cli/command.ts'
import { deliveries } from '../../relay/cli/deliveries.ts'
import { doctor } from '../../relay/cli/doctor.ts'
import { generate } from '../../relay/cli/generate.ts'
import { migrate } from '../../relay/cli/migrate.ts'
import { cancel, redeliver } from '../../relay/cli/redeliver.ts'
import { send } from '../../relay/cli/send.ts'
import { serve } from '../../relay/cli/serve.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { placeDeliveries, REJECTED, running } from '../admin/place-deliveries.ts'
import { openRelayHere, relayEnv, temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'

let env: Record<string, string>
let folder: string
/** A failed delivery, and one whose workflow run is known. */
let ids: string[]

beforeEach(async () => {
  folder = temporaryFolder()
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.failures.tooMany(60, { times: Number.POSITIVE_INFINITY })
  const path = join(folder, 'relay.db')
  ids = await placeDeliveries(path, [
    { runId: 'r_1', events: REJECTED },
    { runId: 'r_2', eventType: null, workflow: 'deploy.yml', ref: 'main', events: running(42) },
  ])
  const relay = await openRelayHere(
    relayEnv({
      ...{ RELAY_ADMIN_TOKEN, RELAY_DATABASE: `sqlite:${path}` },
      ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token },
    }),
  )
  env = { RELAY_ADMIN_TOKEN, PORT: new URL(relay.url).port, PORT_CLIENT_SECRET: 'a secret of Port' }
  writeFileSync(
    join(folder, 'a.yml'),
    'on: workflow_dispatch\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: ls }]\n',
  )
})

interface Row {
  command: Command
  /** Wrong arguments, and the sentence about them. */
  wrong: [args: string[], sentence: string][]
  /** Arguments with which it prints JSON, and what that holds. */
  json?: [args: string[], holds: object]
  /** Arguments that match nothing, and the sentence that says so, on either stream. */
  empty?: [args: string[], sentence: string | RegExp]
}

const rows: Row[] = [
  { command: serve, wrong: [[['now'], 'serve does not take the argument "now"; see serve --help.']] },
  {
    command: doctor,
    wrong: [[['--json=yes'], '--json takes no value; see doctor --help.']],
    json: [['--json'], { ok: false, findings: expect.any(Array) }],
  },
  {
    command: send,
    wrong: [
      [[], 'send needs either FILE or --action NAME.'],
      [['--action', 'a', '--dry-run', '--curl'], '--dry-run and --curl exclude each other.'],
    ],
    json: [['--action', 'deploy', '--curl', '--json'], { command: expect.stringContaining('curl') }],
  },
  {
    command: deliveries,
    wrong: [
      [['--state', 'lost'], 'state must be one of queued, dispatched, running, finished, failed, cancelled.'],
      [['--limit', '0'], 'limit must be a whole number from 1 to 200.'],
      [['--repository', 'shop'], 'repository must be owner/name.'],
      [
        ['--since', 'soon'],
        'since must be a time such as 2026-01-31T12:00:00Z, a duration such as 1h, or milliseconds since 1970.',
      ],
      [['ID', '--state', 'failed'], 'One delivery takes no filter: name an ID, or filter the list.'],
    ],
    json: [['--json', '--limit', '1'], { deliveries: [expect.any(Object)], next: 2 }],
    empty: [
      ['--state', 'cancelled', '--action', 'a', '--since', '1h', '--run-id', 'r'],
      'No delivery matches.',
    ],
  },
  {
    command: redeliver,
    wrong: [
      [[], 'Name deliveries, or a filter: redeliver ID…, or redeliver --state failed --since 1h.'],
      [['ID', '--state', 'failed'], 'Name deliveries by their IDs or by a filter, not both.'],
      [['--since', '1h'], 'A filter needs --state failed or --state cancelled.'],
      [
        ['--state', 'finished'],
        'state must be failed or cancelled: only such deliveries can be redelivered.',
      ],
      [['--state', 'failed', '--limit', 'all'], 'limit must be a whole number from 1 to 1000.'],
    ],
    json: [
      ['--state', 'failed', '--dry-run', '--json'],
      { dry_run: true, deliveries: [expect.any(Object)], redelivered: 0, more: false },
    ],
    empty: [['--state', 'cancelled', '--repository', 'acme/shop'], 'No delivery matches.'],
  },
  {
    command: cancel,
    wrong: [[[], 'Name the delivery: cancel ID; `deliveries` lists them.']],
    json: [['ID', '--json'], { delivery: expect.any(String), state: 'running' }],
    empty: [['none'], /^Delivery none does not exist/],
  },
  {
    command: generate,
    wrong: [
      [[], 'Name the file: generate FILE, a workflow or a Port action.'],
      [['FILE', '--format', 'toml'], '--format must be one of json, port-workflow, workflow.'],
    ],
    json: [['FILE', '--json'], { format: 'json', content: expect.any(String), notes: expect.any(Array) }],
  },
  {
    command: migrate,
    wrong: [[[], 'migrate needs a FILE, the workflow, or --port-action FILE; see migrate --help.']],
    json: [['FILE', '--json'], { files: [expect.any(Object)] }],
    empty: [['FILE'], /nothing|no step/i],
  },
]

/** `ID` and `FILE` stand for those of this test. */
const args = (given: string[]) =>
  given.map(each => (each === 'ID' ? ids[1]! : each === 'FILE' ? join(folder, 'a.yml') : each))

describe.each(rows.map(row => ({ name: row.command.name, ...row })))(
  '$name',
  ({ command, wrong, json, empty }) => {
    test('refuses wrong arguments with one sentence and exit code 2, prints JSON, and says when nothing is found', async () => {
      for (const [given, sentence] of wrong) {
        expect(await run(command, args(given), env)).toEqual({ code: 2, stdout: '', stderr: sentence })
      }
      if (json) {
        const { stdout } = await run(command, args(json[0]), env)
        expect(JSON.parse(stdout)).toMatchObject(json[1])
      } else expect(Object.keys(command.options)).not.toContain('json')
      if (empty) {
        const { stdout, stderr } = await run(command, args(empty[0]), env)
        if (typeof empty[1] === 'string') expect(stdout).toBe(empty[1])
        else expect(stdout + stderr).toMatch(empty[1])
      }
    })
  },
)

test('deliveries shows the target of each, and of one its history', async () => {
  const [failed, bound] = ids
  const { stdout } = await run(deliveries, [], env)
  expect(stdout.split('\n').map(line => line.slice(21).trimEnd())).toEqual([
    `${bound}  running     r_2  acme/shop  deploy.yml@main`,
    `${failed}  failed      r_1  acme/shop  deploy  GitHub rejected the dispatch: no such repository.`,
  ])
  const one = await run(deliveries, [bound!], env)
  expect(one.stdout.split('\n').map(line => line.trim().split(/ +/)[1])).toEqual([
    bound,
    'accepted',
    'dispatchAccepted',
    'runBound',
  ])
  expect(one.stdout).toContain('runBound  github_run_id=42  evidence="title"')
  expect(await run(deliveries, ['none'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Delivery none does not exist/),
  })
  expect(JSON.parse((await run(deliveries, [bound!, '--json'], env)).stdout).events).toHaveLength(3)
})

test('redeliver shows in a dry run what a filter would queue, and queues it', async () => {
  const filter = ['--state', 'failed', '--since', '1h', '--action', 'deploy', '--run-id', 'r_1']
  const dry = await run(redeliver, [...filter, '--dry-run'], env)
  expect(dry.stdout).toMatch(new RegExp(`^\\S+  ${ids[0]}  failed .*\n1 delivery would be queued again\\.$`))
  const done = await run(redeliver, filter, env)
  expect(done.stdout).toMatch(new RegExp(`^\\S+  ${ids[0]}  queued .*\n1 delivery queued again\\.$`))
  expect(await run(redeliver, [ids[0]!, 'none', '--dry-run'], env)).toMatchObject({
    ...{ code: 1, stdout: '' },
    stderr: expect.stringMatching(
      /^Delivery \S+ is queued: only failed or cancelled deliveries can be redelivered\.\nDelivery none does not exist/,
    ),
  })
})
