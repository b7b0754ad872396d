import { createHmac } from 'node:crypto'
import { SignJWT } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { createReportTokens } from '../../relay/reports/token.ts'
import { type OidcIssuer, startOidcIssuer } from '../../tools/simulator/github/oidc-issuer.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { GITHUB_RUN_ID, type System, startReport, startSystem } from './open-stage.ts'

type Claims = Record<string, unknown>
interface Scene {
  system: System
  /** Another issuer, of an attacker. */
  evil: OidcIssuer
  /** Bound to nobody. */
  free: string
  /** Bound to the run 1, attempt 2, with its report token. */
  bound: string
  token: string
  /** Of the bound one. */
  portRunId: string
  /** Sent to another repository. */
  elsewhere: string
  /** Of that repository. */
  otherId: number
  /** Started deploy.yml on the branch `release`; its run reported its second attempt. */
  workflow: { id: string; runId: number }
  /** Another of that kind, whose run has not reported. */
  otherWorkflow: { id: string; runId: number }
  /** The claims of a true token, with others laid over; undefined leaves one out. */
  claims: (more?: Claims) => Claims
  /** A report token, as a relay with this secret and address would make it. */
  mint: (more: {
    secret?: string
    delivery?: string
    runId?: number
    runAttempt?: number
    audience?: string
    at?: number
  }) => Promise<string>
}
type Row = [
  name: string,
  status: number,
  token: (scene: Scene) => string | null | Promise<string | null>,
  delivery?: (scene: Scene) => string,
]

const OTHER_ORGANIZATION = 'client-secret-of-another-organization'

const base64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)
const parts = (token: string) => token.split('.') as [string, string, string]
const hs256 = (header: object, claims: object, key: string | Buffer) => {
  const signed = `${base64({ alg: 'HS256', typ: 'JWT', ...header })}.${base64(claims)}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}
const none = (alg: string, claims: object) => `${base64({ alg, typ: 'JWT' })}.${base64(claims)}.`
const signed = ({ system: stage, claims }: Scene, more: Claims) => stage.issuer.sign(claims(more))
const pem = ({ system: stage }: Scene) =>
  stage.issuer.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const missing = (claim: string): Row => [
  `without ${claim}`,
  401,
  scene => signed(scene, { [claim]: undefined }),
]

const starts: Row[] = [
  ['no token', 401, () => null],
  ['an empty token', 401, () => ''],
  ['words', 401, () => 'let-me-in'],
  ['two parts of a token', 401, scene => signed(scene, {}).split('.').slice(0, 2).join('.')],
  ['five parts, as of an encrypted token', 401, scene => `${signed(scene, {})}.e30.e30`],
  ['parts that are no JSON', 401, () => `${base64('{')}.${base64('}')}.${base64('x')}`],
  ['a token of 12,000 characters', 401, scene => signed(scene, { padding: 'x'.repeat(9_000) })],
  ['algorithm none', 401, ({ claims }) => none('none', claims())],
  ['algorithm nOnE', 401, ({ claims }) => none('nOnE', claims())],
  ['no signature', 401, scene => signed(scene, {}).replace(/[^.]+$/, '')],
  [
    'HS256 with the public key in PEM',
    401,
    scene => hs256({ kid: scene.system.issuer.kid }, scene.claims(), pem(scene)),
  ],
  [
    'HS256 with the public key as its set shows it',
    401,
    ({ system: stage, claims }) =>
      hs256(
        { kid: stage.issuer.kid },
        claims(),
        JSON.stringify(stage.issuer.publicKey.export({ format: 'jwk' })),
      ),
  ],
  [
    'HS256 with an empty key',
    401,
    ({ system: stage, claims }) => hs256({ kid: stage.issuer.kid }, claims(), ''),
  ],
  ...(['RS512', 'PS256'] as const).map(
    (alg): Row => [
      `${alg} by the issuer’s own key`,
      401,
      ({ system: stage, claims }) =>
        new SignJWT(claims())
          .setProtectedHeader({ alg, kid: stage.issuer.kid })
          .sign(stage.issuer.privateKey),
    ],
  ),
  [
    'RS256 said, and HS256 done',
    401,
    scene => hs256({ alg: 'RS256', kid: scene.system.issuer.kid }, scene.claims(), pem(scene)),
  ],
  [
    'other claims under a true signature',
    401,
    scene => {
      const [head, , signature] = parts(signed(scene, {}))
      return `${head}.${base64(scene.claims({ run_id: '4711' }))}.${signature}`
    },
  ],
  [
    'another header under a true signature',
    401,
    scene => {
      const [, body, signature] = parts(signed(scene, {}))
      return `${base64({ alg: 'RS256', kid: scene.system.issuer.kid })}.${body}.${signature}`
    },
  ],
  ['another issuer', 401, ({ evil, claims }) => evil.sign(claims({ iss: evil.url }))],
  [
    'another’s key under the issuer’s key id',
    401,
    ({ evil, system: stage, claims }) => evil.sign(claims(), { kid: stage.issuer.kid }),
  ],
  [
    'a key in the header (jwk)',
    401,
    ({ evil, claims }) =>
      evil.sign(claims(), { kid: undefined, jwk: evil.publicKey.export({ format: 'jwk' }) }),
  ],
  [
    'an unknown critical header',
    401,
    ({ system: stage, claims }) => stage.issuer.sign(claims(), { crit: ['any'], any: 1 }),
  ],
  [
    'a payload that is not encoded (b64)',
    401,
    ({ system: stage, claims }) => stage.issuer.sign(claims(), { crit: ['b64'], b64: false }),
  ],
  ['the issuer with a slash', 401, scene => signed(scene, { iss: `${scene.system.issuer.url}/` })],
  ['the issuer in a list', 401, scene => signed(scene, { iss: [scene.system.issuer.url] })],
  ['another audience', 401, scene => signed(scene, { aud: 'https://relay.example' })],
  ['the owner’s default audience', 401, scene => signed(scene, { aud: 'https://github.com/acme' })],
  ['the audience with a slash', 401, scene => signed(scene, { aud: `${scene.system.url}/` })],
  [
    'our audience among others',
    401,
    scene => signed(scene, { aud: ['sts.amazonaws.com', scene.system.url] }),
  ],
  ['our audience in a list', 401, scene => signed(scene, { aud: [scene.system.url] })],
  ['expired', 401, scene => signed(scene, { iat: now() - 400, exp: now() - 60 })],
  ['not yet valid', 401, scene => signed(scene, { nbf: now() + 120 })],
  ['issued tomorrow', 401, scene => signed(scene, { iat: now() + 86_400, exp: now() + 90_000 })],
  [
    'issued yesterday, and good for a year',
    401,
    scene => signed(scene, { iat: now() - 86_400, exp: now() + 31_536_000 }),
  ],
  ['times as text', 401, scene => signed(scene, { exp: String(now() + 300) })],
  ...[
    'iss',
    'aud',
    'exp',
    'nbf',
    'iat',
    'event_name',
    'repository',
    'repository_id',
    'ref',
    'run_id',
    'run_attempt',
  ].map(missing),
  ['a run id that is a number', 401, scene => signed(scene, { run_id: GITHUB_RUN_ID })],
  ['a run id of another kind', 401, scene => signed(scene, { run_id: '0x10' })],
  ['a report token', 401, scene => scene.token],
  [
    'another repository',
    403,
    scene => signed(scene, { repository: 'acme/other', repository_id: String(scene.otherId) }),
  ],
  ['another owner', 403, scene => signed(scene, { repository: 'evil/shop', repository_id: '1' })],
  ['the same name, another id', 403, scene => signed(scene, { repository_id: '1' })],
  ...['workflow_dispatch', 'push', 'pull_request_target', 'schedule'].map(
    (event): Row => [`the event ${event}`, 403, scene => signed(scene, { event_name: event })],
  ),
  ['another branch', 403, scene => signed(scene, { ref: 'refs/heads/feature' })],
  ['a tag called as the branch', 403, scene => signed(scene, { ref: 'refs/tags/main' })],
  ['the branch without its path', 403, scene => signed(scene, { ref: 'main' })],
  ['a delivery that is not there', 403, scene => signed(scene, {}), () => 'a1b2c3'],
  ['a delivery to another repository', 403, scene => signed(scene, {}), scene => scene.elsewhere],
  ['a second run', 409, scene => signed(scene, { run_id: '2' }), scene => scene.bound],
  ['an earlier attempt of the bound run', 403, scene => signed(scene, { run_id: '1' }), scene => scene.bound],
]

const RELEASE = 'refs/heads/release'
const RUN_ON_RELEASE = { eventName: 'workflow_dispatch', ref: RELEASE }
const FILE = 'acme/shop/.github/workflows/deploy.yml'

/** What a true token of the run of a `workflow_dispatch` says, with others laid over. */
const started = (scene: Scene, { runId }: { runId: number }, more: Claims = {}) =>
  signed(scene, {
    event_name: 'workflow_dispatch',
    ref: RELEASE,
    workflow_ref: `${FILE}@${RELEASE}`,
    run_id: String(runId),
    ...more,
  })
/** For the workflow delivery that has not reported yet. */
const unreported = (name: string, status: number, more: Claims): Row => [
  name,
  status,
  scene => started(scene, scene.otherWorkflow, more),
  scene => scene.otherWorkflow.id,
]

const workflowStarts: Row[] = [
  unreported('the default branch, where it went to another', 403, { ref: 'refs/heads/main' }),
  unreported('a branch whose name begins as its branch', 403, { ref: `${RELEASE}-2` }),
  unreported('the branch without its path', 403, { ref: 'release' }),
  unreported('a pull request of its branch', 403, { ref: 'refs/pull/1/merge' }),
  unreported('another workflow file', 403, {
    workflow_ref: `acme/shop/.github/workflows/other.yml@${RELEASE}`,
  }),
  unreported('another workflow file, whose ref ends as the right one', 403, {
    workflow_ref: `acme/shop/.github/workflows/other.yml@refs/heads/deploy.yml`,
  }),
  unreported('no workflow file', 403, { workflow_ref: undefined }),
  unreported('the right file in another repository', 403, {
    ...{ repository: 'evil/shop', repository_id: '1' },
    workflow_ref: `evil/shop/.github/workflows/deploy.yml@${RELEASE}`,
  }),
  unreported('a run of repository_dispatch', 403, { event_name: 'repository_dispatch' }),
  unreported('a run of repository_dispatch on the default branch', 403, {
    ...{ event_name: 'repository_dispatch', ref: 'refs/heads/main' },
    workflow_ref: `${FILE}@refs/heads/main`,
  }),
  ...['push', 'schedule', 'pull_request_target'].map(event =>
    unreported(`a run of ${event}`, 403, { event_name: event }),
  ),
  unreported('another run than the one that the answer named', 409, { run_id: '4711' }),
  unreported('the attempt 0', 401, { run_attempt: '0' }),
  [
    'the run of another delivery',
    409,
    scene => started(scene, scene.workflow, { run_attempt: '2' }),
    scene => scene.otherWorkflow.id,
  ],
  [
    'its run, for the delivery of a repository_dispatch',
    403,
    scene => started(scene, scene.otherWorkflow),
    scene => scene.free,
  ],
  [
    'its run on the default branch, for the delivery of a repository_dispatch',
    403,
    scene => started(scene, scene.otherWorkflow, { ref: 'refs/heads/main' }),
    scene => scene.free,
  ],
  [
    'a run of repository_dispatch that has reported, for the delivery of a workflow',
    403,
    scene => signed(scene, { run_id: '1', run_attempt: '2' }),
    scene => scene.otherWorkflow.id,
  ],
  [
    'an earlier attempt of the run that has reported',
    403,
    scene => started(scene, scene.workflow, { run_attempt: '1' }),
    scene => scene.workflow.id,
  ],
]

/** Under a key that the issuer does not have: 401, or 503 for the seconds in which it is not asked again. */
const strangers: Row[] = [
  ['an unknown key id', 401, ({ system: stage, claims }) => stage.issuer.sign(claims(), { kid: 'unknown' })],
  [
    'a key id with a path',
    401,
    ({ system: stage, claims }) => stage.issuer.sign(claims(), { kid: '../../dev/null' }),
  ],
  ['another’s key, in the issuer’s name', 401, ({ evil, claims }) => evil.sign(claims())],
  [
    'a key set in the header (jku)',
    401,
    ({ evil, claims }) => evil.sign(claims(), { jku: `${evil.url}/.well-known/jwks` }),
  ],
  [
    'a certificate in the header (x5u, x5c)',
    401,
    ({ evil, claims }) => evil.sign(claims(), { x5u: `${evil.url}/cert`, x5c: [base64('cert')] }),
  ],
]

const later: Row[] = [
  ['no token', 401, () => null],
  ['words', 401, () => 'let-me-in'],
  ['a token of 3,000 characters', 401, ({ token }) => token + 'x'.repeat(3_000)],
  ['GitHub’s token', 401, scene => signed(scene, { run_id: '1', run_attempt: '2' })],
  [
    'algorithm none',
    401,
    ({ token }) => `${base64({ alg: 'none', typ: 'port-report+jwt' })}.${parts(token)[1]}.`,
  ],
  [
    'other claims under a true signature',
    401,
    ({ token }) => {
      const [head, body, signature] = parts(token)
      const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
      return `${head}.${base64({ ...claims, exp: claims.exp + 1 })}.${signature}`
    },
  ],
  [
    'a flipped bit in the signature',
    401,
    ({ token }) => {
      const [head, body, signature] = parts(token)
      return `${head}.${body}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
    },
  ],
  ['another secret', 401, ({ mint }) => mint({ secret: 'another-secret' })],
  ['the client secret of Port', 401, ({ system: stage, mint }) => mint({ secret: stage.port.clientSecret })],
  ['the secret of another organization', 401, ({ mint }) => mint({ secret: OTHER_ORGANIZATION })],
  [
    'the relay’s secret itself as the key',
    401,
    ({ system: stage, token }) => {
      const claims = JSON.parse(Buffer.from(parts(token)[1], 'base64url').toString())
      return hs256({ typ: 'port-report+jwt' }, claims, stage.github.token)
    },
  ],
  ['another relay of the same organization', 401, ({ mint }) => mint({ audience: 'https://relay.example' })],
  ['expired', 401, ({ mint }) => mint({ at: Date.now() - 86_401_000 })],
  ['another run', 403, ({ mint }) => mint({ runId: 2 })],
  ['an earlier attempt', 403, ({ mint }) => mint({ runAttempt: 1 })],
  ['a later attempt that never started', 403, ({ mint }) => mint({ runAttempt: 3 })],
  ['a token of another delivery', 403, ({ mint, free }) => mint({ delivery: free })],
  ['a true token, replayed on another delivery', 403, ({ token }) => token, scene => scene.free],
  [
    'a delivery that nobody is bound to',
    403,
    ({ mint, free }) => mint({ delivery: free }),
    scene => scene.free,
  ],
  ['a delivery that is not there', 403, ({ mint }) => mint({ delivery: 'a1b2c3' }), () => 'a1b2c3'],
]

test(`${starts.length} forgeries of a start are refused, and bind nothing`, async () => {
  const scene = await openScene()
  const { system: stage, free, bound } = scene
  const responses = await present(scene, '/report/start', starts, free)
  expect(statuses(responses)).toEqual(Object.fromEntries(starts.map(([name, status]) => [name, status])))

  // To the sender, one refusal is as the other.
  const details = (status: number) =>
    new Set(responses.filter(each => each.status === status).map(each => each.detail))
  expect([...details(401)]).toEqual([
    `The OIDC token is not accepted: it must be one that GitHub has just issued for the audience ${stage.url}. The relay's log shows what is wrong with it.`,
  ])
  expect([...details(403)]).toEqual([
    "This workflow run may not report for this delivery: only the run that its dispatch started may report, in the repository and on the branch that the relay dispatched to. The relay's log shows what does not match.",
  ])
  await expectTold(scene, responses)

  // The true run comes after all of them, and another has not become the bound one.
  await expect(startReport(stage, free)).resolves.toBeTruthy()
  await expect(startReport(stage, bound, { runId: 1, runAttempt: 2 })).resolves.toBeTruthy()
})

test(`${workflowStarts.length} forgeries of a start for a bound workflow_dispatch are refused, and bind nothing`, async () => {
  const scene = await openScene()
  const { system: stage, workflow, otherWorkflow } = scene
  const responses = await present(scene, '/report/start', workflowStarts, otherWorkflow.id)
  expect(statuses(responses)).toEqual(
    Object.fromEntries(workflowStarts.map(([name, status]) => [name, status])),
  )
  await expectTold(scene, responses)
  // The true runs come after all of them.
  for (const [{ id, runId }, runAttempt] of [
    [otherWorkflow, 1],
    [workflow, 2],
  ] as const) {
    await expect(startReport(stage, id, { ...RUN_ON_RELEASE, runId, runAttempt })).resolves.toBeTruthy()
  }
})

test('a token that one delivery has used is refused for another, and taken again for its own', async () => {
  const scene = await openScene()
  const { system: stage, otherWorkflow, free } = scene
  const second = await stage.deliverWorkflow()
  const jti = { jti: 'used-once' }
  const start = (token: string, delivery: string) => stage.post('/report/start', token, { delivery })
  const token = started(scene, otherWorkflow, jti)
  expect((await start(token, otherWorkflow.id)).status).toBe(200)
  expect((await start(started(scene, second, jti), second.id)).status).toBe(403)
  expect((await start(signed(scene, jti), free)).status).toBe(403)
  // As after a lost answer.
  expect((await start(token, otherWorkflow.id)).status).toBe(200)
  expect((await start(started(scene, second), second.id)).status).toBe(200)
})

test(`${later.length} forgeries of a later report are refused, and write nothing`, async () => {
  const scene = await openScene()
  const { system: stage, bound, token } = scene
  const responses = await present(scene, '/report', later, bound)
  expect(statuses(responses)).toEqual(Object.fromEntries(later.map(([name, status]) => [name, status])))
  await expectTold(scene, responses)

  const message = {
    delivery: bound,
    sender: 's',
    number: 1,
    reports: [{ log: [{ level: 'INFO', message: 'true' }] }],
  }
  expect((await stage.post('/report', token, message)).status).toBe(202)
  const lines = () => stage.port.run(scene.portRunId).logs.map(log => log.message)
  await until(() => lines().includes('true'), 'Port is updated')
  expect(lines().filter(line => /forged/.test(line))).toEqual([])
  expect(stage.port.run(scene.portRunId).status).toBe('IN_PROGRESS')
})

test(`${strangers.length} forgeries under a key of a stranger are refused, and bind nothing`, async () => {
  const scene = await openScene()
  const responses = await present(scene, '/report/start', strangers, scene.free)
  for (const { name, status } of responses) expect([401, 503], name).toContain(status)
  await expectTold(scene, responses)
  await expect(startReport(scene.system, scene.free)).resolves.toBeTruthy()
})

test('another organization that the relay serves cannot read the inputs of this one with its own secret', async () => {
  const { system: stage, bound, mint, token } = await openScene()
  const message = { delivery: bound, complete: true }
  const forged = await mint({ secret: OTHER_ORGANIZATION })
  expect((await stage.post('/report/inputs', forged, message)).status).toBe(401)
  expect((await stage.post('/report/inputs', token, message)).body).toMatchObject({
    payload: { inputs: { version: '1.4.2' } },
  })
})

async function openScene(): Promise<Scene> {
  const system = await startSystem({
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    PORT_ORGANIZATIONS: `other:${OTHER_ORGANIZATION}`,
  })
  const evil = await startOidcIssuer()
  onTestFinished(() => evil.close())
  const other = system.github.addRepository('acme/other')
  const free = await system.deliver()
  const elsewhere = await system.deliver({ body: { github: { repository: 'acme/other' } } })
  expect(elsewhere.dispatch.repository).toBe('acme/other')
  const bound = await system.deliver()
  const token = await startReport(system, bound.id, { runId: 1, runAttempt: 2 })
  const workflow = await system.deliverWorkflow()
  for (const runAttempt of [1, 2]) {
    await startReport(system, workflow.id, { ...RUN_ON_RELEASE, runId: workflow.runId, runAttempt })
  }
  const otherWorkflow = await system.deliverWorkflow()
  return {
    system,
    evil,
    free: free.id,
    bound: bound.id,
    elsewhere: elsewhere.id,
    otherId: other.id,
    portRunId: bound.portRun!.id,
    workflow,
    otherWorkflow,
    token,
    claims: more => ({ ...system.issuer.claims(system.run(), system.url), ...more }),
    mint: async ({ secret, audience, at, ...more }) => {
      const tokens = createReportTokens({
        secret: secret ?? system.github.token,
        audience: audience ?? system.url,
        lifetimeMs: 86_400_000,
        clock: () => at ?? Date.now(),
        log: { warn: () => {} },
      })
      return (await tokens.mint({ delivery: bound.id, runId: 1, runAttempt: 2, ...more })).token
    },
  }
}

interface Refusal {
  name: string
  token: string | null
  status: number
  type: string | null
  detail: unknown
  body: JsonObject
}

/** Each token in turn, with words that must never reach Port. */
async function present(scene: Scene, path: string, rows: Row[], delivery: string): Promise<Refusal[]> {
  const refusals: Refusal[] = []
  for (const [name, , make, to] of rows) {
    const token = await make(scene)
    const words = [
      { log: [{ level: 'INFO', message: `forged: ${name}` }] },
      { update: { conclusion: 'failure' } },
    ]
    const message = { delivery: to?.(scene) ?? delivery, complete: true }
    const later = { ...message, sender: 'forger', number: refusals.length + 1, reports: words }
    const { status, type, body } = await scene.system.post(path, token, path === '/report' ? later : message)
    refusals.push({ name, token, status, type, detail: body.detail, body })
  }
  return refusals
}

const statuses = (refusals: Refusal[]) =>
  Object.fromEntries(refusals.map(({ name, status }) => [name, status]))

/** Problem details to the sender, with nothing that a run may have; to the operator why, without the token. */
async function expectTold({ system: stage }: Scene, refusals: Refusal[]): Promise<void> {
  for (const { type, body } of refusals) {
    expect(type).toBe('application/problem+json')
    expect(Object.keys(body)).not.toContain('token')
    expect(Object.keys(body)).not.toContain('secrets')
  }
  const warnings = () => stage.relay.log().filter(line => line.level === 40 && /report/.test(line.msg))
  // Of a key that is not known, which repeats, the first line is logged at once, and the rest once a minute.
  const unknown = refusals.filter(({ status }) => status === 503).length
  const lines = refusals.length - unknown + Math.min(unknown, 1)
  await until(() => warnings().length >= lines, 'the relay logs each refusal')
  expect(warnings()).toHaveLength(lines)
  for (const { token } of refusals) {
    if (token && token.length > 20) expect(stage.relay.printed()).not.toContain(token)
  }
}
