import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { LIMITS } from '../../relay/config/limits.ts'
import { reportMessage } from '../../relay/reports/report.ts'
import { until } from '../../simulator/http-server.ts'
import { type Env, openRelayHere } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { GITHUB_RUN_ID, startReport, startSystem } from './open-stage.ts'

/** Starts a system with a delivery whose run can report. */
async function startReporting(env: Env = {}) {
  const system = await startSystem(env)
  const { id, portRun } = await system.deliver()
  return { system, id, portRun: portRun!, token: await startReport(system, id) }
}
const log = (message: string, level = 'INFO') => ({ log: [{ level, message }] })

test('reports are sent to Port in order; a repeated report is processed once, and a late report is ignored', async () => {
  const { system, id, portRun, token } = await startReporting()
  const send = (sender: string, number: number, ...reports: unknown[]) =>
    system.report(token, id, reports, { sender, number })
  const link = ['https://github.com/acme/shop/actions/runs/1']
  const start = { statusLabel: 'Running', link, externalRunId: '1' }
  const response = await send('main', 1, { update: start }, log('one'), log('two', 'WARN'))
  expect(response).toMatchObject({ status: 202, body: { delivery: id, number: 1 } })
  expect((await send('main', 1, { update: start }, log('one'), log('two', 'WARN'))).status).toBe(202)
  await send('progress-reporter', 1, log('three'))
  await send('main', 3, log('four'))
  await send('main', 2, log('too late'))
  const entity = { blueprint: 'service', properties: { identifier: 'shop', properties: { version: '1' } } }
  await send('post', 1, { entity }, log('five'), { update: { conclusion: 'failure', statusLabel: 'Failed' } })
  await until(() => portRun.status === 'FAILURE', 'Port shows the result')
  const said = portRun.logs.flatMap(each => each.message.split('\n'))
  expect(said.slice(1)).toEqual(['one', 'two', 'three', 'four', 'five'])
  expect(portRun).toMatchObject({ ...start, statusLabel: 'Failed' })
  expect(system.port.entities).toMatchObject([{ identifier: 'shop', runId: portRun.id }])

  // Even while Port is unreachable, the response to a re-run shows that the delivery is finished.
  await system.port.stop()
  expect((await system.start(id, { runAttempt: 2 })).body.run).toMatchObject({ ended: true })
})

test('after the quota is used up, a conclusion without log lines is accepted, and reports with log lines are refused', async () => {
  const { system, id, portRun, token } = await startReporting()
  let number = 0
  const send = async (...reports: unknown[]) =>
    (await system.report(token, id, reports, { number: ++number })).status
  const end = { update: { conclusion: 'success' } }
  const full = log('ü'.repeat(125_000))
  const most = LIMITS.reportBytes / 250_000
  let status = 202
  while (status === 202 && number <= most) status = await send(full)
  expect([status, number]).toEqual([413, Math.ceil(most)])
  expect(await send(full, end)).toBe(413)
  const job = { id: 1, name: 'deploy', author: 'success', ownSummary: false }
  expect(await send({ update: { ...end.update, job } })).toBe(202)
  expect(await send(end)).toBe(202)
  expect(await send(full, end)).toBe(413)
  await until(() => portRun.status === 'SUCCESS', 'Port shows the result')
})

test('the limit on jobs applies to all reports of a workflow run together, and counts each job once', async () => {
  const { system, id, token } = await startReporting()
  const job = (n: number) => ({ id: n, name: `job ${n}`, author: 'success', ownSummary: false })
  const results = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ update: { conclusion: 'success', job: job(from + i) } }))
  const send = (number: number, reports: unknown[]) => system.report(token, id, reports, { number })
  const half = LIMITS.reportJobs / 2
  expect((await send(1, results(0, half))).status).toBe(202)
  expect((await send(2, results(half, LIMITS.reportJobs))).status).toBe(202)
  expect((await send(3, results(0, 1))).status).toBe(202)
  expect(await send(4, results(LIMITS.reportJobs, LIMITS.reportJobs + 1))).toMatchObject({
    status: 413,
    body: { detail: expect.stringContaining(`At most ${LIMITS.reportJobs} jobs`) },
  })
})

test('disguised blueprint identifiers are refused, and the allow-lists for writing and deleting apply separately', async () => {
  const { system, id, portRun, token } = await startReporting({ RELAY_REPORT_DELETE_BLUEPRINTS: 'preview*' })
  let number = 0
  const send = (blueprint: string, operation = 'upsert') => {
    const entity = { blueprint, properties: { identifier: 'i' }, operation }
    return system.report(token, id, [{ entity }], { number: ++number })
  }
  const disguised = ['_user/', ' _user', 'x\n_user', '\u200b_user', '_user\u2060', 'a/../_user', '_user?']
  const detail = expect.stringContaining(
    'reports.0.entity.blueprint must be the identifier of a blueprint in Port',
  )
  for (const operation of ['upsert', 'delete']) {
    for (const blueprint of [...disguised, '\\_user', '.', '..', '', '\ud800'])
      expect(await send(blueprint, operation), blueprint).toMatchObject({ status: 400, body: { detail } })
  }
  const refused = (list: string, blueprint: string, done: string) => {
    const detail = `The relay's ${list} doesn't include the blueprint ${blueprint}, so the entity isn't ${done}.`
    return { status: 422, body: { detail } }
  }
  expect(await send('_user')).toMatchObject(refused('RELAY_REPORT_BLUEPRINTS', '_user', 'written'))
  for (const blueprint of ['_user', 'service'])
    expect(await send(blueprint, 'delete')).toMatchObject(
      refused('RELAY_REPORT_DELETE_BLUEPRINTS', blueprint, 'deleted'),
    )
  for (const [blueprint, operation] of [['service'], ['preview'], ['preview', 'delete']])
    expect((await send(blueprint!, operation)).status).toBe(202)
  await system.report(token, id, [{ update: { conclusion: 'success' } }], { sender: 'b' })
  await until(() => portRun.status === 'SUCCESS', 'Port gets the conclusion')
  const requests = system.port.requests.filter(({ path }) => path.startsWith('/v1/blueprints/'))
  expect(requests.map(({ method, path }) => `${method} ${path.replace(/\?.*/, '')}`)).toEqual([
    'POST /v1/blueprints/service/entities',
    'POST /v1/blueprints/preview/entities',
    'DELETE /v1/blueprints/preview/entities/i',
  ])
})

test('a finished delivery accepts only log lines, and only during the grace period', async () => {
  const { system, id, portRun, token } = await startReporting({ RELAY_REPORT_DELETE_BLUEPRINTS: '*' })
  const send = async (sender: string, number: number, ...reports: unknown[]) =>
    (await system.report(token, id, reports, { sender, number })).status
  const entity = (operation: string) => ({
    entity: { blueprint: 'service', properties: { identifier: 'shop' }, operation },
  })
  const end = [entity('upsert'), { update: { conclusion: 'success' } }]
  expect(await send('post', 1, ...end)).toBe(202)
  // Repeats the message, as after a lost response.
  expect(await send('post', 1, ...end)).toBe(202)
  const rest = [entity('upsert'), entity('delete'), { update: { summary: 'late' } }, ...end]
  for (const [n, report] of rest.entries()) {
    expect(await send('other', n + 1, report)).toBe(410)
    expect(await send('other', n + 1, log('with it'), report)).toBe(410)
  }
  expect(await send('other', 9, log('a late line'))).toBe(202)
  await until(() => portRun.status === 'SUCCESS', 'Port gets the conclusion')
  const written = system.port.requests.filter(({ path }) => path.startsWith('/v1/blueprints/'))
  expect(written.map(({ method }) => method)).toEqual(['POST'])
  expect(portRun.summary).not.toBe('late')

  await system.relay.stop()
  const database = new DatabaseSync(system.env.RELAY_DATABASE!.slice('sqlite:'.length))
  database.prepare('UPDATE deliveries SET updated_at = updated_at - ?').run(LIMITS.reportGrace)
  database.close()
  await system.restart()
  expect(await send('other', 10, log('a later line'))).toBe(410)
})

test('refuses a report that would delete a blueprint or all entities of a blueprint', async () => {
  const { system, id, token } = await startReporting({ RELAY_REPORT_DELETE_BLUEPRINTS: '*' })
  const remove = async (identifier: unknown) => {
    const entity = { blueprint: 'service', properties: { identifier }, operation: 'delete' }
    return (await system.report(token, id, [{ entity }])).status
  }
  const long = 'i'.repeat(1_000)
  for (const identifier of ['..', '.', '', 7, null, undefined, `${long}i`])
    expect([identifier, await remove(identifier)]).toEqual([identifier, 400])
  expect(await remove(long)).toBe(202)
})

const many = <T>(length: number, item: (n: number) => T) => Array.from({ length }, (_, n) => item(n))
const entityOf = (values: unknown[]) => ({
  entity: { blueprint: 'service', properties: { identifier: 'shop', properties: { values } } },
})
test.each<[string, boolean, object]>([
  ['an entity of empty lists', true, entityOf(many(80_000, () => []))],
  ['numbers instead of lines', false, { log: many(120_000, () => 1) }],
])('a report of 250 KB that contains %s is checked in less than 20 ms of CPU time', (_, isReport, report) => {
  const times = many(5, () => {
    const before = process.cpuUsage()
    const message = { delivery: 'd', sender: 'a', number: 1, reports: [report] }
    expect(reportMessage.safeParse(message).success).toBe(isReport)
    return process.cpuUsage(before).user / 1000
  })
  expect(Math.min(...times)).toBeLessThan(20)
})

test('the relay still accepts a report token after PORT_CLIENT_SECRET was rotated', async () => {
  const { system, id, token } = await startReporting()
  await system.relay.stop()
  await openRelayHere({ ...system.env, PORT_CLIENT_SECRET: 'rotated-secret' })
  expect((await system.report(token, id, [])).status).toBe(202)
})

test('refuses an invalid report with a message that describes the problem without showing a value', async () => {
  const { system, id, token } = await startReporting()
  const message = { delivery: id, sender: 'a', number: 1, reports: [] as unknown[] }
  // The lists are already nested five levels deep in the report.
  const deep = (levels: number) => {
    const properties = `{"identifier":"i","a":${'['.repeat(levels)}${']'.repeat(levels)}}`
    const entity = `{"blueprint":"b","properties":${properties}}`
    return `{"delivery":"${id}","sender":"a","number":1,"reports":[{"entity":${entity}}]}`
  }
  expect((await system.post('/report', token, deep(85))).status).toBe(202)
  const script = { update: { link: ['javascript:alert(1)'] } }
  const invalid = (what: string) => `The body isn't a report: ${what} is missing or has the wrong type.`
  const rows: [unknown, number, string][] = [
    ['{', 400, "The body isn't JSON in UTF-8"],
    [deep(89), 400, 'nested more than 90 levels deep'],
    [deep(50_000), 400, 'nested more than 90 levels deep'],
    [[], 400, invalid('it')],
    [{ ...message, number: 0 }, 400, invalid('number')],
    [{ ...message, sender: '' }, 400, invalid('sender')],
    [{ ...message, reports: [{ log: 'hush' }] }, 400, invalid('reports.0')],
    [{ ...message, reports: [script] }, 400, invalid('reports.0.update.link.0')],
    [{ ...message, reports: [{ update: { conclusion: 'done' } }] }, 400, invalid('reports.0')],
    [{ ...message, reports: [log('x'.repeat(300_000))] }, 413, 'larger than a report can be (262144 bytes)'],
  ]
  for (const [body, status, part] of rows) {
    const detail = expect.stringContaining(part)
    const refusal = { status, type: 'application/problem+json', body: { detail } }
    expect(await system.post('/report', token, body)).toMatchObject(refusal)
  }
  const get = await fetch(`${system.url}/report/start`)
  expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
  for (const path of ['/report/other', '/report/', '/report/start/'])
    expect((await system.post(path, token, {})).status, path).toBe(404)
})

test("parallel reports cannot exceed a delivery's limits", async () => {
  const system = await startSystem()
  const { id } = await system.deliver({ runId: null })
  const token = await startReport(system, id)
  const log = Array(5_000).fill({ level: 'INFO', message: 'x' })
  const send = async (n: number) => {
    for (;;) {
      const response = await system.report(token, id, [{ log }], { sender: `sender-${n}` })
      if (response.status !== 429) return response
      expect(response.body.detail).toMatch(/^The unprocessed bodies of delivery \S+ exceed 1048576 /)
    }
  }
  const responses = await Promise.all(Array.from({ length: 30 }, (_, n) => send(n)))
  const accepted = responses.filter(({ status }) => status === 202).length
  expect(accepted * log.length).toBe(LIMITS.reportLines)
})

test.each(['SQLite', 'PostgreSQL'])(
  'no output of a node run is lost if the report with the result arrives while messages are sent (%s)',
  async kind => {
    const system = await startSystem(kind === 'SQLite' ? {} : { RELAY_DATABASE: await newDatabase() })
    const [amount, atOnce] = [Number(process.env.OUTPUT_RUNS ?? 15), 15]
    let lost = 0
    for (let first = 0; first < amount; first += atOnce) {
      await Promise.all(
        many(atOnce, async n => {
          const run = system.port.createNodeRun()
          const { id } = await system.deliver({ runId: null, body: { run: { id: run.id } } })
          const token = await startReport(system, id, { runId: GITHUB_RUN_ID + first + n })
          const result = { conclusion: 'success', output: { version: '1.4.2' } }
          const lines = many(4, each => system.report(token, id, [log('deploys')], { sender: `job-${each}` }))
          await Promise.race(lines)
          expect((await system.report(token, id, [{ update: result }])).status).toBe(202)
          await Promise.all(lines)
          await until(() => run.status === 'COMPLETED', 'Port shows the result')
          if (run.output.version !== '1.4.2') lost++
        }),
      )
    }
    expect(lost).toBe(0)
  },
)
