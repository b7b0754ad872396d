import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { backup } from '../../cli/backup.ts'
import { type Command, runCommand } from '../../cli/command.ts'
import { deliveries } from '../../cli/deliveries.ts'
import { freeze } from '../../cli/freeze.ts'
import { migrate } from '../../cli/migrate.ts'
import { cancel, redeliver } from '../../cli/redeliver.ts'
import type { DeliveryRun } from '../../relay/delivery/delivery.ts'
import type { DeliveryEvent, Event } from '../../relay/delivery/events.ts'
import { openStore } from '../../relay/store/open.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { until } from '../../simulator/http-server.ts'
import { openWithDeliveries, placeDeliveries, REJECTED, running } from '../admin/place-deliveries.ts'
import { aRun } from '../store/place.ts'
import { listenHere } from '../support/listen-here.ts'
import { openRelayHere, type Relay, relayEnv, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, readPage, signIn } from '../support/requests.ts'
import { run } from '../support/run-command.ts'

let env: Record<string, string>
let folder: string
let url: string
let relay: Relay
/** A failed delivery, a delivery that is bound to a workflow run, and a queued delivery. */
let ids: string[]

beforeEach(async () => {
  folder = temporaryFolder()
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  // GitHub rate limits every dispatch.
  github.failures.tooMany(60, { times: Number.POSITIVE_INFINITY })
  const path = join(folder, 'relay.db')
  ids = await placeDeliveries(path, [
    { runId: 'r_1', events: REJECTED },
    { runId: 'r_2', eventType: null, workflow: 'deploy.yml', ref: 'main', events: running(42) },
    { runId: 'r_3', repository: 'acme/web' },
  ])
  const settings = {
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_DATABASE: `sqlite:${path}`,
  }
  relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN: ADMIN_TOKEN, ...settings }))
  url = relay.url
  env = { RELAY_ADMIN_TOKEN: ADMIN_TOKEN, PORT: new URL(url).port, PORT_CLIENT_SECRET: 'a secret of Port' }
  const workflow = 'on: workflow_dispatch\njobs: { a: { runs-on: x, steps: [{ run: ls }] } }\n'
  writeFileSync(join(folder, 'a.yml'), workflow)
})

const FILTER = 'A filter needs --state failed, --state cancelled, or an --outcome other than succeeded.'
/** Wrong arguments, each with its error message. */
const WRONG: [Command, string[], string][] = [
  [deliveries, ['--limit', '0'], '--limit must be a whole number from 1 to 200.'],
  [deliveries, ['--repository', 'shop'], '--repository must be owner/name.'],
  [
    deliveries,
    ['ID', '--limit', '1'],
    'With an ID, only the option --json is allowed: remove the other options, or remove the ID.',
  ],
  [redeliver, [], 'Specify deliveries or a filter: redeliver ID…, or redeliver --state failed --since 1h.'],
  [redeliver, ['ID', '--state', 'failed'], 'Specify deliveries by ID or filter, not both.'],
  [redeliver, ['--since', '1h'], FILTER],
  [redeliver, ['--outcome', 'succeeded'], FILTER],
  // A shell passes a variable that isn't set as an empty argument.
  [
    redeliver,
    ['--state', 'failed', '--action', ''],
    '--action needs a value, --action=NAME; see redeliver --help.',
  ],
  [
    freeze,
    ['acme/*', '--reason', 'x', '--until', 'noon'],
    '--until must be a date, a time, and a time zone, such as 2099-12-01T08:00Z.',
  ],
  [freeze, ['acme', '--reason', 'x'], 'repositories must be a glob of repositories, such as acme/*.'],
  [redeliver, ['--state', 'failed', '--limit', 'all'], '--limit must be a whole number from 1 to 1000.'],
  [cancel, [], 'Specify the delivery: cancel ID. `deliveries` lists the ids.'],
  [migrate, [], 'migrate needs a workflow FILE or --port-action FILE; see migrate --help.'],
]
/** Arguments that make a command print JSON, and an excerpt of that JSON. */
const JSON_OF: [Command, string[], object][] = [
  [deliveries, ['--json', '--limit', '1'], { deliveries: [expect.any(Object)], next: 3 }],
  [redeliver, ['--state', 'failed', '--dry-run', '--json'], { dry_run: true, redelivered: 0, more: false }],
  [cancel, ['ID', '--json'], { delivery: expect.any(String), state: 'running' }],
  [migrate, ['FILE', '--json'], { files: [expect.any(Object)] }],
]
/** Arguments that match nothing, each with the message. */
const NOTHING: [Command, string[], RegExp][] = [
  [deliveries, ['--state', 'cancelled', '--action', 'a', '--since', '1h'], /^No delivery matches\.$/],
  [redeliver, ['--state', 'cancelled', '--repository', 'acme/shop'], /^No delivery matches\.$/],
  [cancel, ['none'], /^Delivery none doesn't exist/],
  [deliveries, ['none'], /^Delivery none doesn't exist/],
  [migrate, ['FILE'], /nothing|no step/i],
]

/** Replaces the placeholders `ID` and `FILE` in the arguments. */
const args = (given: string[]) =>
  given.map(each => (each === 'ID' ? ids[1]! : each === 'FILE' ? join(folder, 'a.yml') : each))

test('commands print JSON, say when they find nothing, and refuse wrong arguments with a message and exit code 2', async () => {
  for (const [command, given, stderr] of WRONG)
    expect(await run(command, args(given))).toEqual({ code: 2, stdout: '', stderr })
  const stdout = JSON.stringify({ error: '--limit must be a whole number from 1 to 200.' })
  expect(await run(deliveries, ['--limit', '0', '--json'])).toEqual({ code: 2, stdout, stderr: '' })
  const several = await run(redeliver, ['none', 'neither', '--json'], env)
  expect(several).toEqual({ code: 1, stdout: expect.stringMatching(/^(\{"error":".*\}\n?){2}$/), stderr: '' })
  for (const [command, given, part] of JSON_OF)
    expect(JSON.parse((await run(command, args(given), env)).stdout)).toMatchObject(part)
  for (const [command, given, sentence] of NOTHING) {
    const { stdout, stderr } = await run(command, args(given), env)
    expect(stdout + stderr).toMatch(sentence)
  }
})

test('deliveries shows the target of each delivery, and the history of a single delivery', async () => {
  const [failed, bound, queued] = ids
  const { stdout } = await run(deliveries, [], env)
  const waits = expect.stringMatching(
    /^Waiting for (GitHub's rate limit until .* UTC: |GitHub$|other dispatches$)/,
  )
  const rejected = 'GitHub rejected the dispatch: no such repository.'
  expect(stdout.split('\n').map(line => line.slice(22).trimEnd().split(/ {2,}/))).toEqual([
    ['DELIVERY', 'STATE', 'OUTCOME', 'ACTION', 'RUN', 'REPOSITORY', 'TARGET', 'REASON'],
    [queued, 'queued', '-', 'deploy', 'r_3', 'acme/web', 'deploy', waits],
    [bound, 'running', '-', 'deploy', 'r_2', 'acme/shop', 'deploy.yml@main'],
    [failed, 'failed', 'not_started', 'deploy', 'r_1', 'acme/shop', 'deploy', rejected],
  ])
  const one = await run(deliveries, [bound!], env)
  const seconds = one.stdout.split('\n').map(line => line.trim().split(/ +/)[1])
  expect(seconds).toEqual(['DELIVERY', bound, 'accepted', 'dispatchAccepted', 'runBound'])
  expect(one.stdout).toContain('runBound  github_run_id=42  evidence="title"')
  expect(JSON.parse((await run(deliveries, [bound!, '--json'], env)).stdout).events).toHaveLength(3)
})

test('the command deliveries, the dashboard, and Port name the same cause and runner labels for a delivery that waits', async () => {
  const receivedAt = Date.now() - 60_000
  const seen = (id: number, run: Partial<DeliveryRun>, more: Partial<Event<'runsSeen'>> = {}) =>
    ({ type: 'runsSeen', pollAt: 4_000_000_000_000, runs: [aRun(id, run)], ...more }) as DeliveryEvent
  const [queued, pending] = [{ status: 'queued' }, { status: 'pending' }]
  const wait = { cause: 'runner', reason: 'self-hosted, gpu', until: null } as const
  const reason = 'https://github.com/acme/shop/actions/runs/77'
  const behind = { cause: 'concurrency', reason, until: null } as const
  const placed: [waits: string, DeliveryEvent[]][] = [
    ['Waiting for a runner: self-hosted, gpu', [seen(1, queued), seen(1, queued, { wait })]],
    ['Waiting for a runner', [seen(2, queued)]],
    [
      'Waiting in its concurrency group behind https://github.com/acme/shop/actions/runs/77',
      [seen(3, pending), seen(3, pending, { wait: behind })],
    ],
    [
      'Waiting for Port: the workflow run has finished with success',
      [seen(4, { status: 'completed', conclusion: 'success' })],
    ],
    [
      'Waiting for approval: production',
      [
        seen(5, { status: 'waiting' }),
        {
          ...{ type: 'approvalSeen', decided: [], url: '' },
          pending: [{ environment: 'production', waitTimer: 0, reviewers: [] }],
        },
      ],
    ],
    ['Waiting for its workflow run', []],
  ]
  const opened = await openWithDeliveries([
    ...placed.map(([, events], n) => ({
      ...{ runId: `r_${n}`, receivedAt, events: [running(1)[0]!, ...events] },
    })),
    { runId: 'r_rejected', events: REJECTED },
    {
      runId: 'r_lost',
      events: [{ type: 'responseLost', attemptedAt: 0, reason: 'GitHub responded with 500' }],
    },
    { runId: 'r_next' },
  ])
  const texts = [
    ...placed.map(([waits]) => waits),
    'GitHub rejected the dispatch: no such repository.',
    'Waiting for GitHub: GitHub responded with 500; searching for the workflow run',
    'Waiting for an earlier run of acme/shop: r_lost',
  ]
  const ofOpened = { ...env, PORT: new URL(opened.relay.url).port }
  const { stdout } = await run(deliveries, [], ofOpened)
  expect(
    stdout
      .split('\n')
      .slice(1)
      .map(line => line.split(/ {2,}/).at(-1)),
  ).toEqual(texts.toReversed())
  const cookie = await signIn(opened.relay.url)
  const read = (path: string) => readPage(opened.relay.url + path, cookie)
  const page = await read('/')
  const reasons = [...page.matchAll(/<p class="reason[^"]*">(.*?)<\/p>/g)].map(([, text]) =>
    text!.replaceAll(/<[^>]+>/g, ''),
  )
  const ofRunner = /^(Waiting for a runner.*)$/
  const onPage = (text: string) =>
    text
      .replace(ofRunner, '$1. If this lasts, start a runner with the labels in runs-on, or correct runs-on.')
      .replace(/^(Waiting for approval.*)$/, '$1. Review it on GitHub')
  expect(reasons).toEqual(texts.toReversed().map(onPage))
  const timelines = await Promise.all([0, 2, 4].map(n => read(`/deliveries/${opened.ids[n]}`)))
  expect(timelines.map(text => /<h3>(Waiting .*)<\/h3>/.exec(text)?.[1])).toEqual([
    'Waiting for a runner',
    'Waiting in its concurrency group',
    'Waiting for approval: production',
  ])
  opened.port.fail({ status: 503, times: Number.POSITIVE_INFINITY })
  await run(redeliver, ['--state', 'failed', '--dry-run'], ofOpened)
  expect((await run(deliveries, [], ofOpened)).stdout).toMatch(
    /Waiting for Port: .* success\. Port unreachable since .*: Port, or a proxy in front of it, responded with 503\.$/m,
  )
  expect(page).toContain(`group behind <a href="${reason}">`)
  expect(page).toContain(`run of acme/shop: <a href="/deliveries/${opened.ids.at(-2)}">r_lost</a></p>`)
})

test.each([160, 110, 80])(
  'deliveries shows the action and the reason on a terminal with %i columns',
  async width => {
    const lines: string[] = []
    const print = (line: string) => void lines.push(line)
    const output = { print, note: print, color: (_: string, text: string) => text, width }
    expect(await runCommand(deliveries, env, ['--state', 'failed'], output)).toBe(0)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width)
    expect(lines[1]).toMatch(/ not_started +deploy .* GitHub reject/)
    expect(lines[1]!.endsWith('…')).toBe(width < 160)
  },
)

test('backup copies the database of a running relay to a private file, and never overwrites a file', async () => {
  const [file, database] = [join(folder, 'copy.db'), { RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}` }]
  expect(await run(backup, [file], database)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Written: .*, 0\.\d MB\.$/),
  })
  const copied = await openStore({ kind: 'sqlite', path: file })
  onTestFinished(() => copied.close())
  expect((await copied.list({}, { limit: 10 })).map(({ id }) => id)).toEqual(ids.toReversed())
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const stderr = `${file} already exists: choose another name.`
  expect(await run(backup, [file], database)).toMatchObject({ code: 1, stderr })
  expect(await run(backup, [`${file}2`], { RELAY_DATABASE: 'postgres://x' })).toMatchObject({ code: 1 })
  expect(existsSync(`${file}2`)).toBe(false)
})

test('backup deletes a copy that SQLite finds damaged', async () => {
  const [path, file] = [join(folder, 'damaged.db'), join(folder, 'copy.db')]
  const damaged = new DatabaseSync(path, { defensive: false })
  damaged.exec('CREATE TABLE organization (client_id); PRAGMA user_version = 15')
  damaged.exec('CREATE TABLE t (x); INSERT INTO t VALUES (NULL); PRAGMA writable_schema = ON')
  damaged.exec("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (x NOT NULL)' WHERE name = 't'")
  damaged.close()
  expect(await run(backup, [file], { RELAY_DATABASE: `sqlite:${path}` })).toEqual({
    ...{ code: 1, stdout: '', stderr: `${path} can't be copied to ${file}: the copy is damaged.` },
  })
  expect(existsSync(file)).toBe(false)
})

test('backup copies neither a database in memory nor a file of another program', async () => {
  const [file, empty, foreign] = ['copy.db', 'empty.db', 'foreign.db'].map(name => join(folder, name)) as [
    string,
    string,
    string,
  ]
  new DatabaseSync(empty).close()
  const other = new DatabaseSync(foreign)
  other.exec('PRAGMA user_version = 3')
  other.close()
  for (const [source, why] of [
    [':memory:', 'ENOENT'],
    ['file:x?mode=memory', 'ENOENT'],
    [empty, "it isn't a relay's database"],
    [foreign, "it isn't a relay's database"],
  ] as const) {
    const { code, stdout, stderr } = await run(backup, [file], { RELAY_DATABASE: `sqlite:${source}` })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(`${source} can't be copied to ${file}: ${why}`)
    expect(existsSync(file)).toBe(false)
  }
})

test.each([':memory:', 'file:a%2eb.db?mode=memory'])(
  'backup %s writes a private, complete copy with this name',
  async name => {
    const cwd = temporaryFolder()
    const main = join(import.meta.dirname, '../../cli/main.ts')
    const database = { RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}` }
    execFileSync(process.execPath, [main, 'backup', name], { cwd, env: database, stdio: 'pipe' })
    expect(readdirSync(cwd)).toEqual([name])
    expect(statSync(join(cwd, name)).mode & 0o777).toBe(0o600)
    const copied = await openStore({ kind: 'sqlite', path: join(cwd, name) })
    onTestFinished(() => copied.close())
    expect(await copied.list({}, { limit: 10 })).toHaveLength(3)
  },
)

test('deliveries --watch prints new and changed deliveries until it is stopped', async () => {
  const [stop, lines]: [AbortController, string[]] = [new AbortController(), []]
  const print = (line: string) => void lines.push(line)
  const output = { print, note: print, color: (_: string, text: string) => text, signal: stop.signal }
  const watching = runCommand(deliveries, env, ['--watch', '--repository', 'acme/web'], output)
  await until(() => lines.length > 1, 'the list is printed')
  expect((await run(cancel, [ids[2]!], env)).code).toBe(0)
  await until(() => lines.some(line => line.includes('  cancelled  ')), 'the change is printed')
  stop.abort()
  expect(await watching).toBe(0)
  expect(lines.filter(line => line.includes('RECEIVED'))).toHaveLength(1)
})

test('the log has one line for repeated reads, and one line for each other call', async () => {
  for (const args of [[], [], [], ['none'], [], []]) await run(deliveries, args, env)
  const calls = relay.log().filter(({ msg }) => msg === 'the admin API was called')
  expect(calls.map(({ path, count }) => [path, count])).toEqual([
    ['/api/deliveries', undefined],
    ['/api/deliveries', 1],
    ['/api/deliveries/none', undefined],
    ['/api/deliveries', undefined],
  ])
})

test('redeliver queues deliveries by filter or id, and lists the matching deliveries in a dry run', async () => {
  const [failed] = ids
  const filter = ['--state', 'failed', '--since', '1h', '--action', 'deploy', '--run-id', 'r_1']
  const dry = await run(redeliver, [...filter, '--dry-run'], env)
  const listed = `\n\\S+ +${failed} +failed +not_started .*\n1 delivery would be queued again\\.$`
  expect(dry.stdout).toMatch(new RegExp(listed))
  const named = await run(redeliver, [failed!, '--dry-run'], env)
  expect(named.stdout).toBe(`Delivery ${failed} would be queued again.`)
  const done = await run(redeliver, filter, env)
  expect(done.stdout).toMatch(new RegExp(`\n\\S+ +${failed} +queued .*\n1 delivery queued again\\.$`))
  expect(await run(redeliver, [failed!, 'none', '--dry-run'], env)).toMatchObject({
    ...{ code: 1, stdout: '' },
    stderr: expect.stringMatching(
      /^Delivery \S+ is queued: only failed or canceled deliveries can be redelivered\.\nDelivery none doesn't exist/,
    ),
  })
})

test('the command cancel cancels a queued delivery immediately, and for a running delivery, its workflow run', async () => {
  const [, bound, queued] = ids
  // Until GitHub has responded to the attempt, its workflow run could have started.
  const shown = async () => (await run(deliveries, [queued!], env)).stdout
  await until(async () => (await shown()).includes('dispatchDeferred'), 'GitHub limits the dispatch')
  expect((await run(cancel, [queued!], env)).stdout).toBe(`Delivery ${queued} is canceled.`)
  expect((await run(cancel, [bound!], env)).stdout).toBe(
    `Delivery ${bound} is being canceled: the relay cancels the workflow run on GitHub.`,
  )
  expect((await run(redeliver, [queued!], env)).stdout).toBe(`Delivery ${queued} is queued again.`)
  expect(await run(cancel, [ids[0]!], env)).toMatchObject({
    code: 1,
    stderr: `Delivery ${ids[0]} is failed: only open deliveries can be canceled.`,
  })
})

test('the commands read their variables as the relay does, and report missing variables', async () => {
  const of = (more: Record<string, string>) => run(deliveries, ['--limit', '1'], { ...env, ...more })
  const file = join(folder, 'token')
  writeFileSync(file, `\ufeff${ADMIN_TOKEN}\r\n`)
  const fromFile = { RELAY_ADMIN_TOKEN: '', RELAY_PUBLIC_URL: '', RELAY_ADMIN_TOKEN_FILE: file }
  expect(await of(fromFile)).toMatchObject({ code: 0, stderr: '' })
  const proxy = createServer((_, response) => response.writeHead(404).end('<p>Not found</p>'))
  const hidden = await of({ RELAY_PUBLIC_URL: `http://127.0.0.1:${await listenHere(proxy)}` })
  expect(hidden.stderr).toMatch(/responded with 404\. If a proxy hides/)
  const refused = `^The relay at http://127.0.0.1:${env.PORT} doesn't accept this token: RELAY_ADMIN_`
  const noRelay =
    /^No relay responds at http:\/\/127\.0\.0\.1:2 \(ECONNREFUSED\): start it, or set RELAY_PUBLIC_URL \(or PORT\)/
  for (const [more, sentence] of [
    [{ RELAY_ADMIN_TOKEN: ' ' }, /^RELAY_ADMIN_TOKEN is required/],
    [{ RELAY_ADMIN_TOKEN: 'wrong' }, refused],
    [{ PORT: '2' }, noRelay],
  ] as const)
    expect(await of(more)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(sentence) })
})

test('the admin API explains invalid queries, and refuses wrong methods and tokens that are not sent as Bearer', async () => {
  const ask = async (path: string, method = 'GET', authorization = `Bearer ${ADMIN_TOKEN}`) => {
    const response = await fetch(`${url}/api/deliveries${path}`, { method, headers: { authorization } })
    const { detail } = (await response.json()) as { detail?: string }
    return [response.status, response.headers.get('allow') ?? detail]
  }
  for (const query of ['before=abc', 'before=0', 'limit=1.5', 'limit=201', 'state=lost', 'since=soon'])
    expect(await ask(`?${query}`)).toEqual([400, expect.stringMatching(`^${query.split('=')[0]} must be `)])
  expect(await ask('?before=9007199254740991&limit=200&repository=acme/shop')).toEqual([200, undefined])
  for (const path of ['', '/d']) expect(await ask(path, 'DELETE')).toEqual([405, 'GET, HEAD'])
  for (const path of ['/d/redeliver', '/d/cancel']) expect(await ask(path)).toEqual([405, 'POST'])
  const wrong = [ADMIN_TOKEN, `Basic ${ADMIN_TOKEN}`, `Bearer  ${ADMIN_TOKEN}`, 'Bearer']
  for (const given of [...wrong, `Bearer ${ADMIN_TOKEN}x`])
    expect((await ask('', 'GET', given))[0], given).toBe(401)
  expect((await ask('', 'GET', `bearer ${ADMIN_TOKEN}`))[0]).toBe(200)
})

test('without tokens, the admin API, the metrics, and the dashboard respond to every request with 404', async () => {
  const { url } = await openRelayHere(relayEnv())
  for (const [path, detail] of [
    ['/api/deliveries', 'The admin API is off: set RELAY_ADMIN_TOKEN to turn it on.'],
    ['/metrics', 'The metrics are off: set RELAY_VIEW_TOKEN to turn them on.'],
    ['/', 'The dashboard is off: set RELAY_ADMIN_TOKEN or RELAY_VIEW_TOKEN to turn it on.'],
  ] as const) {
    const response = await fetch(url + path)
    expect([response.status, await response.text()]).toEqual([404, expect.stringContaining(detail)])
  }
})
