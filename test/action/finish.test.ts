import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { progressFolder } from '../../action/progress/process.ts'
import { markAt, readBytes } from '../../action/runner/files.ts'
import type { JsonObject } from '../../port/types.ts'
import type { FakeServer } from '../../simulator/http-server.ts'
import { encryptWith } from './encrypt.ts'
import { messagesTo, openFakeRelay } from './open-fake-relay.ts'
import { openRunner, seeAlso } from './open-runner.ts'
import { bodyFor, linesOf, payloadFor, type System, startSystem } from './play.ts'

// Tests what post does if it can't send the final status, and what post must never send.

const SECRET = 'clear-text-secret'
const WITHHELD =
  "Log lines and entities that Port doesn't have yet, your summary, links, and outputs aren't sent to Port, " +
  "because they can contain secret inputs, and the action couldn't decrypt these inputs again to redact them."

async function openJob(relay: FakeServer, inputs: Record<string, string> = {}) {
  const system = await startSystem()
  const sealed = { password: Buffer.alloc(48).toString('base64'), version: '1.4.2' }
  const payload = payloadFor('r_1', sealed, { encrypted: ['password'] })
  Object.assign(payload.port!, { relay: relay.origin })
  return openRunner(
    { ...system, payload },
    { 'port-client-id': '', 'port-client-secret': '', 'github-token': '', ...inputs },
    {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${relay.origin}/idtoken?v=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token',
    },
  )
}

const reportsTo = (relay: FakeServer) => messagesTo(relay).flatMap(({ reports }) => reports)

/** Runs main. The job has no token for GitHub, so its steps are not read. */
async function startJob(inputs: Record<string, string> = {}) {
  const system = await startSystem()
  const job = openRunner(system, { 'github-token': '', ...inputs })
  await job.run('main')
  return { ...system, job }
}

const WARNING = `::warning::${WITHHELD}${seeAlso('secret-inputs')}`
const WARN = [{ level: 'WARN', message: WITHHELD }]
const FINISHED =
  /^::notice::Log lines and entities .* aren't sent to Port, because .*, because the delivery has finished\./

test.each<[number, number, JsonObject, string, object[]]>([
  [403, 1, { status: 403 }, WARNING, WARN],
  [503, Number.POSITIVE_INFINITY, {}, WARNING, WARN],
  // The secret that decrypted the input was rotated in the meantime.
  [200, 1, { payload: null, secrets: {} }, WARNING, WARN],
  // Another job has finished the delivery.
  [410, 1, { status: 410 }, expect.stringMatching(FINISHED), []],
])(
  "if the relay's response has status %i and no secret inputs, Port gets the final status and the steps, but no log lines",
  async (status, times, body, printed, reasons) => {
    const relay = await openFakeRelay({ password: SECRET })
    const job = await openJob(relay, { summary: `It is ${SECRET}` })
    expect(await job.run('main')).toEqual([])
    writeFileSync(job.saved().files.log, `${SECRET} and more\n`)
    relay.fail({ match: ({ path }) => path === '/report/inputs', status, times, body })
    expect((await job.post()).slice(1)).toEqual([printed])
    expect(JSON.stringify(relay.requests)).not.toContain(SECRET)
    const log = [...reasons, { level: 'INFO', message: expect.stringMatching(/^✓ Job deploy: success/) }]
    const update = expect.objectContaining({ conclusion: 'success', statusLabel: 'Succeeded' })
    expect(reportsTo(relay).slice(-2)).toEqual([{ log }, { update }])
  },
)

test('Port gets no log lines if an input that the payload omits cannot be read from the Port run', async () => {
  const system = await startSystem()
  const { port, run } = system
  const sealed = encryptWith(port.clientSecret, SECRET.repeat(200))
  const payload = payloadFor(run.id, { password: sealed }, { encrypted: ['password'], maxBytes: 900 })
  run.payload.body = bodyFor(run.id, { password: sealed })
  const job = openRunner(
    { ...system, payload },
    { 'github-token': '', summary: SECRET, 'fail-on-report-error': 'true' },
  )
  expect(await job.run('main')).toEqual([])
  writeFileSync(job.saved().files.log, `${SECRET.repeat(200)}\n`)
  port.fail({ match: ({ method, path }) => method === 'GET' && path.includes('/runs/'), status: 403 })
  expect((await job.post()).slice(1)).toEqual([`::error::${WITHHELD}${seeAlso('secret-inputs')}`])
  expect(linesOf(run)).not.toContainEqual(expect.stringContaining(SECRET))
  expect(run.summary).not.toContain(SECRET)
  // fail-on-report-error makes the job fail, so the Port run fails too.
  expect(run.status).toBe('FAILURE')
})

test('Port gets no secret from a label, a summary, a link, or a colored line, and no command that masks a value', async () => {
  const texts = { 'status-label': `with ${SECRET}`, summary: `of ${SECRET}` }
  const { port, run, job } = await startJob({ mask: SECRET, ...texts })
  expect(run.statusLabel).toBe('with ***')
  const { log, run: file } = job.saved().files
  writeFileSync(log, `clear\x1b[1m-text-secret\x1b[0m\n::add-mask::of-a-step\nof-a-step ${SECRET}\n`)
  writeFileSync(file, `link=https://x.example/of-a-step\n`)
  expect((await job.post()).slice(1)).toEqual([expect.stringContaining('A link in $PORT_RUN is omitted')])
  expect(linesOf(run).slice(1, -2)).toEqual(['***', '*** ***'])
  expect(run.summary).toBe('of ***')
  expect(JSON.stringify(port.requests)).not.toMatch(/clear|of-a-step/)
})

test('with fail-on-report-error, the job and the Port run fail if Port rejects the log', async () => {
  const { port, run, job } = await startJob({ 'fail-on-report-error': 'true' })
  port.fail({ match: ({ path }) => path.endsWith('/logs'), status: 400 })
  const error = expect.stringMatching(/^::error::Port didn't accept all of the log: /)
  expect((await job.post()).slice(1)).toEqual([error])
  expect(process.exitCode).toBe(1)
  expect(run).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
})

const LOST = "… 1 line may be missing here: Port's response to it was lost."

test('messages from Port and the summary are redacted before they are truncated', async () => {
  const system = await startSystem()
  const { port, run } = system
  const inputs = { password: encryptWith(port.clientSecret, SECRET), note: `${'x'.repeat(110)} ${SECRET}` }
  const entities = JSON.stringify({ blueprint: 'service', identifier: 'shop', properties: { token: SECRET } })
  const payload = payloadFor(run.id, inputs, { encrypted: ['password'] })
  const job = openRunner({ ...system, payload }, { 'github-token': '' })
  await job.run('main')
  writeFileSync(job.saved().files.entities, entities)
  const body = { ok: false, error: 'invalid_request', message: `${'x'.repeat(290)} ${SECRET} is no token` }
  port.fail({ match: ({ path }) => path.includes('/entities'), status: 422, body })
  const printed = await job.post()
  for (const text of [printed.at(-1)!, ...linesOf(run), run.summary!]) expect(text).not.toContain('clear-')
  expect(printed.at(-1)).toContain(`${'x'.repeat(290)} *** is no)`)
  expect(run.summary).toContain(`${'x'.repeat(110)} ***`)
})

test('a lost response while the job runs causes a warning and a replacement line', async () => {
  const { run, job } = await startJob()
  const logFile = job.saved().files.log
  writeFileSync(logFile, 'one\ntwo\nthree\n')
  const folder = progressFolder(logFile)
  mkdirSync(folder.path)
  folder.setSent({ ...markAt(logFile, 8), lost: 1 })
  expect((await job.post()).slice(1)).toEqual([
    `::warning::Port may not have received 1 line of the log: Port's response was lost while the job ran.${seeAlso('port')}`,
  ])
  expect(linesOf(run).slice(1)).toEqual([LOST, 'three', expect.stringMatching(/^✓ Job deploy/)])
})

test('Port shows the name of a matrix job as on GitHub, and shows the start of the run once', async () => {
  const system = await startSystem()
  const matrix = { on: { os: 'linux', tags: ['a', true] }, none: null, empty: '' }
  const job = openRunner(system, { 'github-token': '', matrix: JSON.stringify(matrix) })
  const warning = 'This job is a matrix leg, and the first leg that finishes also finishes the Port run'
  expect(await job.run('main')).toEqual([expect.stringContaining(`::warning::${warning}`)])
  await openRunner(system, { report: 'updates' }).run('main')
  await job.post()
  expect(linesOf(system.run)).toEqual([
    expect.stringContaining('Workflow run started: http'),
    expect.stringContaining('✓ Job deploy (linux, a, true): success after'),
  ])
})

test('post does nothing without a saved state, and warns if the saved state is invalid', async () => {
  const system = await startSystem()
  const job = openRunner(system)
  expect(await job.run('post')).toEqual([])
  expect(await job.run('post', { STATE_report: '{' })).toEqual([
    expect.stringMatching(/^::warning::Reporting to Port failed: /),
  ])
  expect(process.exitCode).toBe(0)
})

test('if Port is down during a whole job, the job succeeds with one warning from main and one from post', async () => {
  const system = await startSystem()
  await system.port.stop()
  const job = openRunner(system, { 'github-token': '' })
  const away = expect.stringMatching(
    /^::warning::Reporting to Port failed: Port didn't respond to .*ECONNREFUSED/,
  )
  expect(await job.run('main')).toEqual([away])
  const file = join(job.folder, 'summary.md')
  const shown = await job.post({ GITHUB_STEP_SUMMARY: file })
  expect(shown).toEqual([away, expect.stringMatching(/^::notice::The steps of this job aren't reported/)])
  expect(process.exitCode).not.toBe(1)
  expect(readFileSync(file, 'utf8')).toMatch(/^✓ Job deploy: success after/)
})

test("with report: workflow, post sends the author's summary and the missing link, but no conclusion", async () => {
  const system = await startSystem()
  const job = openRunner(system, { report: 'workflow', summary: 'Done.', 'github-token': '' })
  system.port.fail({ match: ({ method }) => method === 'PATCH', status: 400 })
  await job.run('main')
  await job.post()
  expect(system.run).toMatchObject({ status: 'IN_PROGRESS', summary: 'Done.', externalRunId: '16000000042' })

  const node = system.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  const plain = openRunner({ ...system, run: node }, { report: 'workflow', 'github-token': '' })
  await plain.run('main')
  system.port.clearRequests()
  await plain.post()
  expect(system.port.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `POST /v1/workflows/nodes/runs/${node.id}/logs`,
  ])
  writeFileSync(plain.saved().files.run, 'output.URL=https://a.example\n')
  const warning = 'Port drops the outputs of this job when the Port run finishes: with report: workflow,'
  expect(await plain.post()).toContainEqual(expect.stringContaining(`::warning::${warning}`))
  expect(node.output).toMatchObject({ URL: 'https://a.example' })
  expect(JSON.stringify(node.logs)).toContain(warning)
})

test.each<[('log' | 'entities' | 'run')[]]>([[['log', 'entities', 'run']], [['log']]])(
  'post does not follow symlinks (%j)',
  async replaced => {
    const system = await startSystem()
    const payload = payloadFor(system.run.id, { note: 'masked before' })
    const job = openRunner({ ...system, payload }, { 'github-token': '' })
    await job.run('main')
    const { files } = job.saved()
    const folder = progressFolder(files.log)
    mkdirSync(folder.path)
    folder.setMasks(['masked before'])
    const texts = {
      log: SECRET,
      entities: '{"blueprint":"b","identifier":"leaked"}',
      run: `summary=${SECRET}\noutput.a=${SECRET}\nlink=https://example.com/${SECRET}`,
    }
    for (const name of ['log', 'entities', 'run'] as const) {
      if (replaced.includes(name)) {
        rmSync(files[name])
        symlinkSync(join(job.folder, `of-another-${name}`), files[name])
      }
      writeFileSync(files[name], `${texts[name]}\n`)
      if (replaced.includes(name)) expect(() => readBytes(files[name], 0, 1)).toThrow('ELOOP')
    }
    const printed = await job.post()
    expect(printed.slice(1)).toEqual(
      replaced.map(name => expect.stringContaining(`read: ${files[name]} is no longer a file.`)),
    )
    expect(system.port.entities).toEqual([])
    expect(JSON.stringify(system.port.requests)).not.toMatch(new RegExp(`${SECRET}|masked before`))
    expect(system.run.status).toBe('SUCCESS')
  },
)

test("invalid or excessive content in the job's files does not prevent the final status", async () => {
  const system = await startSystem()
  const node = system.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  const job = openRunner({ ...system, run: node }, { 'github-token': '', mask: '8675309' })
  await job.run('main')
  const { files } = job.saved()
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const entities = [deep, '{"blueprint":"b","identifier":"i","properties":{"pin":8675309,"n":[8675308]}}']
  writeFileSync(files.entities, entities.join('\n'))
  const many = Array.from({ length: 100_000 }, (_, i) => `output.n${i}=1`)
  const outputs = ['output.__proto__:json={"a":1}', `output.deep:json=${deep}`, 'output.pin:json=[8675309]']
  writeFileSync(files.run, [...outputs, ...many, ...many.map(() => '?')].join('\n'))
  const printed = (await job.post()).join('\n')
  for (const problem of ['nested too deeply', 'at most 80 levels', '99901 more entries', 'are omitted: n'])
    expect(printed).toContain(problem)
  expect(printed.length).toBeLessThan(100_000)
  expect(system.port.entities).toMatchObject([{ properties: { pin: '***', n: [8675308] } }])
  expect(node).toMatchObject({ status: 'COMPLETED', result: 'SUCCESS' })
  const masks = openRunner(system, { 'github-token': '' })
  await masks.run('main')
  const lines = Array.from({ length: 50_000 }, (_, i) => `::add-mask::a value to hide number ${i}`)
  const written = masks.saved().files
  writeFileSync(written.log, [...lines, 'a line'].join('\n'))
  writeFileSync(written.entities, '{"blueprint":"b","identifier":"hidden"}')
  writeFileSync(written.run, 'link=https://example.com\noutput.a=1\n?\n')
  expect((await masks.post()).slice(1)).toEqual([
    `::warning::More than 1 MB of values is masked, so nothing that steps wrote is sent to Port: mask fewer values.${seeAlso('port-log')}`,
  ])
  expect([system.run.statusLabel, ...new Set(linesOf(system.run).slice(1))]).toEqual(['Succeeded', '***'])
  expect(JSON.stringify(node.output)).toMatch(/"__proto__":\{"a":1\},"pin":\["\*\*\*"\],"n0":"1"/)
})

test('if the relay accepts no more lines, a warning counts the omitted lines, and the conclusion is still sent', async () => {
  const relay = await openFakeRelay({ password: SECRET })
  const job = await openJob(relay)
  await job.run('main')
  writeFileSync(job.saved().files.log, 'line\n'.repeat(150_000 / 5))
  const match = ({ body }: { body: unknown }) => JSON.stringify(body).includes('"log"')
  relay.fail({ match, status: 202, takesEffect: true })
  const body = { status: 413, detail: 'The run has sent 1,000 lines.' }
  relay.fail({ match, status: 413, body, times: Number.POSITIVE_INFINITY })
  expect((await job.post()).slice(1)).toEqual([
    expect.stringMatching(
      /^::warning::\d+ lines of the log were omitted: the relay responded with 413 .*The run has sent 1,000 lines/,
    ),
  ])
  expect(reportsTo(relay).at(-1)).toMatchObject({ update: { conclusion: 'success' } })
})

test('after the delivery has finished, the job succeeds with one notice that nothing more is sent', async () => {
  const relay = await openFakeRelay({ password: SECRET })
  const job = await openJob(relay, { 'fail-on-report-error': 'true', summary: 'Done.' })
  await job.run('main')
  relay.fail({ status: 410, body: { status: 410, detail: 'It has ended.' }, times: Number.POSITIVE_INFINITY })
  const notice = /^::notice::No further updates are sent to Port: the relay responded with 410 .*It has ended/
  expect((await job.post()).slice(1)).toEqual([expect.stringMatching(notice)])
  expect(process.exitCode).not.toBe(1)
})

/** Runs a job that finishes with these entities. Returns its output and the lines about entities in Port's log. */
async function endWith(system: System, file: string, inputs: Record<string, string> = {}) {
  const job = openRunner(system, { 'github-token': '', ...inputs })
  await job.run('main')
  appendFileSync(job.saved().files.entities, file)
  const printed = await job.post()
  return { printed: printed.slice(1), lines: linesOf(system.run).filter(line => line.includes('ntit')) }
}

const ONE = '{"blueprint":"service","identifier":"a"}'

test('a mistake in a document of $PORT_ENTITIES does not prevent other documents from being sent', async () => {
  const system = await startSystem()
  const wrong = JSON.stringify([
    { blueprint: 'service', identifier: 'right' },
    { blueprint: 'service', identifier: 'a b', team: 7 },
    { blueprint: 'service', identifier: 'c', createdAt: '2026-11-01T10:00:00.000Z', propertys: { a: 1 } },
    { identifier: 'alone', relations: { domain: 7 } },
    'text',
  ])
  const { printed, lines } = await endWith(system, `${wrong}\n---\n${ONE}\n`)
  const mistakes = [
    String.raw`2 (service/a b) has characters in its identifier that Port doesn't accept (allowed: letters, digits, and @ _ . + : \ / = -): "a b".`,
    '2 (service/a b) has a team that is neither a name nor a list of names: "7".',
    '3 (service/c) has an unknown key (known: blueprint, identifier, operation, title, icon, team, properties, relations): "propertys".',
    String.raw`4 (alone) has no blueprint: "{\"identifier\":\"alone\",\"relations\":{\"domain\":7}}".`,
    '4 (alone) has a relation "domain" that is neither an identifier nor a list of identifiers: "7".',
    '5 isn\'t an entity with a blueprint and an identifier: "text".',
  ].map(mistake => `Line 1 of $PORT_ENTITIES: entity ${mistake}`)
  expect(printed).toEqual([`::warning::${mistakes.join('%0A')}${seeAlso('entities')}`])
  expect(lines).toEqual([...mistakes.map(line => `✗ ${line}`), '✓ Entity service/a'])
  expect(system.run.status).toBe('SUCCESS')
})

test('the warning about a document names the line, and quotes the redacted start of the document', async () => {
  const text = `- ${'x'.repeat(55)}-hidden`
  const { printed } = await endWith(await startSystem(), `${ONE}\n---\n\n${text}`, { mask: 'hidden' })
  expect(printed).toEqual([expect.stringContaining('::warning::Line 4 of $PORT_ENTITIES: entity 1 isn')])
  expect(printed[0]).toContain(`: "${'x'.repeat(55)}-***".`)
})

test('an entity is not sent if its identifier or a property name contains a secret', async () => {
  const system = await startSystem()
  const named = '{"blueprint":"service","identifier":"acme-shop","title":"of acme"}'
  const property = '{"blueprint":"service","identifier":"x","properties":{"a":{"of-acme":1}}}'
  const file = [named, named.replace('acme-shop', 'shop'), property].join('\n')
  const { printed } = await endWith(system, file, { mask: '["acme"]' })
  expect(system.port.entities).toMatchObject([{ identifier: 'shop', title: 'of ***' }])
  expect(printed).toEqual([
    expect.stringContaining(
      "The identifier of an entity contains a secret, and secrets aren't sent to Port: use another value",
    ),
  ])
  expect(printed[0]).toContain(
    "Entity service/x couldn't be upserted: The name of a property of an entity contains a secret",
  )
  expect(system.run.link).toEqual([expect.stringContaining('/acme/shop/actions/runs/')])
})
