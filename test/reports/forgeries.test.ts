import { createHmac } from 'node:crypto'
import { SignJWT } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { createReportTokens } from '../../relay/reports/authorize.ts'
import { startOidcIssuer } from '../../simulator/github/oidc-issuer.ts'
import { until } from '../../simulator/http-server.ts'
import { GITHUB_RUN_ID, startReport, startSystem } from './open-stage.ts'

type Claims = Record<string, unknown>
type Scene = Awaited<ReturnType<typeof openScene>>
/** Forgeries by expected status. Each returns a token, or a token and the delivery to use instead of the default. */
type Forgeries = Partial<Record<401 | 403 | 409, Record<string, (scene: Scene) => Forged | Promise<Forged>>>>
type Forged = string | null | [token: string, delivery: string]

const base64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)
const parts = (token: string) => token.split('.') as [string, string, string]
const hs256 = (header: object, claims: object, key: string | Buffer) => {
  const signed = `${base64({ alg: 'HS256', typ: 'JWT', ...header })}.${base64(claims)}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}
const none = (alg: string, claims: object) => `${base64({ alg, typ: 'JWT' })}.${base64(claims)}.`
const signed = ({ system, claims }: Scene, more: Claims) => system.issuer.sign(claims(more))
const pem = ({ system }: Scene) => system.issuer.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const jwk = ({ system }: Scene) => JSON.stringify(system.issuer.publicKey.export({ format: 'jwk' }))
const byName = <T>(names: readonly string[], make: (name: string) => T) =>
  Object.fromEntries(names.map(name => [name, make(name)]))
/** Signs a token with the issuer's own key but another algorithm. */
const byOtherAlgorithm = (alg: string) => (s: Scene) =>
  new SignJWT(s.claims())
    .setProtectedHeader({ alg, kid: s.system.issuer.kid })
    .sign(s.system.issuer.privateKey)
const CLAIMS = [
  ...['iss', 'aud', 'exp', 'nbf', 'iat', 'event_name', 'repository', 'repository_id', 'ref'],
  ...['run_id', 'run_attempt'],
]

const starts: Forgeries = {
  401: {
    'no token': () => null,
    'an empty token': () => '',
    words: () => 'let-me-in',
    'two parts of a token': s => signed(s, {}).split('.').slice(0, 2).join('.'),
    'five parts, as in an encrypted token': s => `${signed(s, {})}.e30.e30`,
    'parts that are not JSON': () => `${base64('{')}.${base64('}')}.${base64('x')}`,
    'a token of 12,000 characters': s => signed(s, { padding: 'x'.repeat(9_000) }),
    'algorithm none': s => none('none', s.claims()),
    'algorithm nOnE': s => none('nOnE', s.claims()),
    'no signature': s => signed(s, {}).replace(/[^.]+$/, ''),
    'HS256 with the public key in PEM': s => hs256({ kid: s.system.issuer.kid }, s.claims(), pem(s)),
    'HS256 with the public key as a JWK': s => hs256({ kid: s.system.issuer.kid }, s.claims(), jwk(s)),
    'HS256 with an empty key': s => hs256({ kid: s.system.issuer.kid }, s.claims(), ''),
    "RS512 with the issuer's key": byOtherAlgorithm('RS512'),
    "PS256 with the issuer's key": byOtherAlgorithm('PS256'),
    'RS256 in the header, but signed with HS256': s =>
      hs256({ alg: 'RS256', kid: s.system.issuer.kid }, s.claims(), pem(s)),
    'other claims under a valid signature': s => {
      const [head, , signature] = parts(signed(s, {}))
      return `${head}.${base64(s.claims({ run_id: '4711' }))}.${signature}`
    },
    'another header under a valid signature': s => {
      const [, body, signature] = parts(signed(s, {}))
      return `${base64({ alg: 'RS256', kid: s.system.issuer.kid })}.${body}.${signature}`
    },
    'another issuer': s => s.evil.sign(s.claims({ iss: s.evil.url })),
    "another issuer's key under the issuer's key id": s =>
      s.evil.sign(s.claims(), { kid: s.system.issuer.kid }),
    'a key in the header (jwk)': s =>
      s.evil.sign(s.claims(), { kid: undefined, jwk: s.evil.publicKey.export({ format: 'jwk' }) }),
    'an unknown critical header': s => s.system.issuer.sign(s.claims(), { crit: ['any'], any: 1 }),
    'a payload that is not encoded (b64)': s =>
      s.system.issuer.sign(s.claims(), { crit: ['b64'], b64: false }),
    'the issuer with a slash': s => signed(s, { iss: `${s.system.issuer.url}/` }),
    'the issuer in a list': s => signed(s, { iss: [s.system.issuer.url] }),
    'another audience': s => signed(s, { aud: 'https://relay.example' }),
    "the owner's default audience": s => signed(s, { aud: 'https://github.com/acme' }),
    'the audience with a slash': s => signed(s, { aud: `${s.system.url}/` }),
    'our audience and another one in a list': s => signed(s, { aud: ['sts.amazonaws.com', s.system.url] }),
    'our audience in a list': s => signed(s, { aud: [s.system.url] }),
    expired: s => signed(s, { iat: now() - 400, exp: now() - 60 }),
    'not yet valid': s => signed(s, { nbf: now() + 120 }),
    'issued tomorrow': s => signed(s, { iat: now() + 86_400, exp: now() + 90_000 }),
    'issued yesterday, valid for a year': s => signed(s, { iat: now() - 86_400, exp: now() + 31_536_000 }),
    'times as text': s => signed(s, { exp: String(now() + 300) }),
    ...byName(CLAIMS, claim => s => signed(s, { [claim]: undefined })),
    'a run id that is a number': s => signed(s, { run_id: GITHUB_RUN_ID }),
    'a run id in hexadecimal': s => signed(s, { run_id: '0x10' }),
    'a report token': s => s.token,
  },
  403: {
    'another repository': s => signed(s, { repository: 'acme/other', repository_id: String(s.otherId) }),
    'another owner': s => signed(s, { repository: 'evil/shop', repository_id: '1' }),
    'the same repository name with another id': s => signed(s, { repository_id: '1' }),
    ...byName(
      ['workflow_dispatch', 'push', 'pull_request_target', 'schedule'],
      event => s => signed(s, { event_name: event }),
    ),
    'another branch': s => signed(s, { ref: 'refs/heads/feature' }),
    'a tag with the name of the branch': s => signed(s, { ref: 'refs/tags/main' }),
    'the branch without refs/heads/': s => signed(s, { ref: 'main' }),
    'an unknown delivery': s => [signed(s, {}), 'a1b2c3'],
    'a delivery to another repository': s => [signed(s, {}), s.elsewhere],
    'an earlier attempt of the bound run': s => [signed(s, { run_id: '1' }), s.bound],
  },
  409: { 'a second run of the bound delivery': s => [signed(s, { run_id: '2' }), s.bound] },
}

const RELEASE = 'refs/heads/release'
const RUN_ON_RELEASE = { eventName: 'workflow_dispatch', ref: RELEASE }
const FILE = 'acme/shop/.github/workflows/deploy.yml'

/** The claims of a valid token for a `workflow_dispatch` run, with overrides. */
const started = (scene: Scene, { runId }: { runId: number }, more: Claims = {}) =>
  signed(scene, {
    event_name: 'workflow_dispatch',
    ref: RELEASE,
    workflow_ref: `${FILE}@${RELEASE}`,
    run_id: String(runId),
    ...more,
  })
/** Creates a token for the workflow delivery whose run has not reported. */
const unreported = (more: Claims) => (s: Scene) => started(s, s.otherWorkflow, more)

const workflowStarts: Forgeries = {
  401: { 'run attempt 0': unreported({ run_attempt: '0' }) },
  403: {
    'the default branch instead of the dispatched branch': unreported({ ref: 'refs/heads/main' }),
    'a branch whose name starts with the name of the dispatched branch': unreported({ ref: `${RELEASE}-2` }),
    'the branch without refs/heads/': unreported({ ref: 'release' }),
    'a pull request of the dispatched branch': unreported({ ref: 'refs/pull/1/merge' }),
    'another workflow file': unreported({ workflow_ref: `acme/shop/.github/workflows/other.yml@${RELEASE}` }),
    'another workflow file, on a branch named deploy.yml': unreported({
      workflow_ref: 'acme/shop/.github/workflows/other.yml@refs/heads/deploy.yml',
    }),
    'no workflow file': unreported({ workflow_ref: undefined }),
    'the right file in another repository': unreported({
      ...{ repository: 'evil/shop', repository_id: '1' },
      workflow_ref: `evil/shop/.github/workflows/deploy.yml@${RELEASE}`,
    }),
    'a run of repository_dispatch on the default branch': unreported({
      ...{ event_name: 'repository_dispatch', ref: 'refs/heads/main' },
      workflow_ref: `${FILE}@refs/heads/main`,
    }),
    ...byName(['repository_dispatch', 'push', 'schedule', 'pull_request_target'], event =>
      unreported({ event_name: event }),
    ),
    'a workflow_dispatch run for a repository_dispatch delivery': s => [started(s, s.otherWorkflow), s.free],
    'a workflow_dispatch run on the default branch for a repository_dispatch delivery': s => [
      started(s, s.otherWorkflow, { ref: 'refs/heads/main' }),
      s.free,
    ],
    'a repository_dispatch run of another delivery': s => signed(s, { run_id: '1', run_attempt: '2' }),
    'an earlier attempt of the run that has reported': s => [
      started(s, s.workflow, { run_attempt: '1' }),
      s.workflow.id,
    ],
  },
  409: {
    "a run that is not the run in GitHub's response to the dispatch": unreported({ run_id: '4711' }),
    'the run of another delivery': s => started(s, s.workflow, { run_attempt: '2' }),
  },
}

/** Tokens with keys that the issuer lacks. The relay responds with 401, or with 503 until it may refetch the keys. */
const strangers: Forgeries = {
  401: {
    'an unknown key id': s => s.system.issuer.sign(s.claims(), { kid: 'unknown' }),
    'a key id with a path': s => s.system.issuer.sign(s.claims(), { kid: '../../dev/null' }),
    "another issuer's key in the issuer's name": s => s.evil.sign(s.claims()),
    'a key set in the header (jku)': s => s.evil.sign(s.claims(), { jku: `${s.evil.url}/.well-known/jwks` }),
    'a certificate in the header (x5u, x5c)': s =>
      s.evil.sign(s.claims(), { x5u: `${s.evil.url}/cert`, x5c: [base64('cert')] }),
  },
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(parts(token)[1], 'base64url').toString())

const reports: Forgeries = {
  401: {
    'no token': () => null,
    words: () => 'let-me-in',
    'a token of 3,000 characters': s => s.token + 'x'.repeat(3_000),
    "GitHub's OIDC token instead of a report token": s => signed(s, { run_id: '1', run_attempt: '2' }),
    'algorithm none': s => `${base64({ alg: 'none', typ: 'port-report+jwt' })}.${parts(s.token)[1]}.`,
    'other claims under a valid signature': s => {
      const [head, , signature] = parts(s.token)
      const claims = claimsOf(s.token)
      return `${head}.${base64({ ...claims, exp: claims.exp + 1 })}.${signature}`
    },
    'a flipped bit in the signature': s => {
      const [head, body, signature] = parts(s.token)
      return `${head}.${body}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
    },
    'another secret': s => s.mint({ secret: 'another-secret' }),
    'the client secret of Port': s => s.mint({ secret: s.system.port.clientSecret }),
    "the relay's secret itself as the key": s =>
      hs256({ typ: 'port-report+jwt' }, claimsOf(s.token), s.system.github.token),
    'another relay of the same organization': s => s.mint({ audience: 'https://relay.example' }),
    expired: s => s.mint({ at: Date.now() - 86_401_000 }),
  },
  403: {
    'another run': s => s.mint({ runId: 2 }),
    'an earlier attempt': s => s.mint({ runAttempt: 1 }),
    'a later attempt that never started': s => s.mint({ runAttempt: 3 }),
    'a token of another delivery': s => s.mint({ delivery: s.free }),
    'a valid token, replayed on another delivery': s => [s.token, s.free],
    'a delivery without a bound run': async s => [await s.mint({ delivery: s.free }), s.free],
    'an unknown delivery': async s => [await s.mint({ delivery: 'a1b2c3' }), 'a1b2c3'],
  },
}

test('forged start requests are refused with one message per status, and bind no run', async () => {
  const scene = await openScene()
  const { system, free, bound, workflow, otherWorkflow } = scene
  const refusals = await present(scene, '/report/start', starts, free)
  // The sender can't distinguish one refusal from another.
  const details = (status: number) =>
    new Set(refusals.filter(each => each.status === status).map(each => each.body.detail))
  expect([...details(401)]).toEqual([
    `The OIDC token isn't accepted: GitHub must have issued it within the last few minutes for the audience ${system.url}. The relay's log shows the reason.`,
  ])
  expect([...details(403)]).toEqual([
    "This workflow run can't report for this delivery. Only the workflow run that the delivery's dispatch started can report, from the repository and branch of the dispatch. The relay's log shows what doesn't match.",
  ])
  refusals.push(...(await present(scene, '/report/start', workflowStarts, otherWorkflow.id)))
  refusals.push(...(await present(scene, '/report/start', strangers, free)))
  await expectLogged(scene, refusals)

  // The real runs can still start reporting after all forgeries, because no other run was bound.
  await expect(startReport(system, free)).resolves.toBeTruthy()
  await expect(startReport(system, bound, { runId: 1, runAttempt: 2 })).resolves.toBeTruthy()
  for (const [{ id, runId }, runAttempt] of [
    [otherWorkflow, 1],
    [workflow, 2],
  ] as const) {
    await expect(startReport(system, id, { ...RUN_ON_RELEASE, runId, runAttempt })).resolves.toBeTruthy()
  }
})

test('a run that belongs to a delivery can use its OIDC token again for that delivery, but not for another delivery', async () => {
  const scene = await openScene()
  const { system, otherWorkflow, free } = scene
  const second = await system.deliverWorkflow()
  const start = (token: string, delivery: string) => system.post('/report/start', token, { delivery })
  const token = started(scene, otherWorkflow)
  expect((await start(token, otherWorkflow.id)).status).toBe(200)
  expect((await start(token, free)).status).toBe(403)
  expect((await start(token, second.id)).status).toBe(409)
  // Repeats the start, as after a lost response.
  expect((await start(token, otherWorkflow.id)).status).toBe(200)
  expect((await start(started(scene, second), second.id)).status).toBe(200)
})

test('forged reports are refused, write nothing, and return no inputs', async () => {
  const scene = await openScene()
  const { system, bound, token, portRunId } = scene
  await expectLogged(scene, await present(scene, '/report', reports, bound))
  const log = [{ level: 'INFO', message: 'true' }]
  expect((await system.report(token, bound, [{ log }])).status).toBe(202)
  const lines = () => system.port.run(portRunId).logs.map(log => log.message)
  await until(() => lines().includes('true'), 'Port is updated')
  expect(lines().filter(line => /forged/.test(line))).toEqual([])
  expect(system.port.run(portRunId).status).toBe('IN_PROGRESS')

  const inputs = async (token: string) =>
    system.post('/report/inputs', token, { delivery: bound, complete: true })
  expect((await inputs(await scene.mint({ secret: system.port.clientSecret }))).status).toBe(401)
  expect((await inputs(token)).body).toMatchObject({ payload: { inputs: { version: '1.4.2' } } })
})

async function openScene() {
  const system = await startSystem({ RELAY_ALLOWED_REPOSITORIES: 'acme/*' })
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
  return {
    /** `evil`: an attacker's issuer. */
    ...{ system, evil },
    /** A delivery that is not bound to a run, and a delivery to another repository, with the id of that repository. */
    ...{ free: free.id, elsewhere: elsewhere.id, otherId: other.id },
    /** A delivery that is bound to run 1, attempt 2, its report token, and its run in Port. */
    ...{ bound: bound.id, token, portRunId: bound.portRun!.id },
    /** A delivery that started deploy.yml on the branch `release`. The run's second attempt has reported. */
    workflow,
    /** Another delivery of deploy.yml, whose run has not reported. */
    otherWorkflow: await system.deliverWorkflow(),
    /** Returns the claims of a valid token with overrides. `undefined` removes a claim. */
    claims: (more?: Claims): Claims => ({ ...system.issuer.claims(system.run(), system.url), ...more }),
    /** Creates a report token as a relay with this secret and address would. */
    async mint({ secret, audience, at, ...more }: Mint) {
      const tokens = createReportTokens({
        secret: secret ?? system.github.token,
        audience: audience ?? system.url,
        lifetimeMs: 86_400_000,
        clock: () => at ?? Date.now(),
        log: { warn: () => {} },
      })
      const run = { delivery: bound.id, repository: 'acme/shop', runId: 1, runAttempt: 2, ...more }
      return (await tokens.mint(run)).token
    },
  }
}

type Mint = Partial<
  Record<'secret' | 'delivery' | 'audience', string> & Record<'runId' | 'runAttempt' | 'at', number>
>

interface Refusal {
  token: string | null
  status: number
  body: JsonObject
}

/** Sends each token with a text that must not appear in Port, and expects the status of the token's group. */
async function present(scene: Scene, path: string, all: Forgeries, target: string): Promise<Refusal[]> {
  const refusals: Refusal[] = []
  for (const [expected, forgeries] of Object.entries(all)) {
    for (const [name, make] of Object.entries(forgeries)) {
      const forged = await make(scene)
      const [token, delivery] = Array.isArray(forged) ? forged : [forged, target]
      const log = [{ level: 'INFO', message: `forged: ${name}` }]
      const reports = [{ log }, { update: { conclusion: 'failure' } }]
      const message = { delivery, complete: true, sender: 'forger', number: refusals.length + 1, reports }
      const { status, type, body } = await scene.system.post(path, token, message)
      const allowed = all === strangers ? [401, 503] : [Number(expected)]
      expect(allowed, name).toContain(status)
      expect(type).toBe('application/problem+json')
      expect(Object.keys(body)).not.toEqual(expect.arrayContaining([expect.stringMatching(/token|secrets/)]))
      refusals.push({ token, status, body })
    }
  }
  return refusals
}

/** Restarts the relay. Expects that its log contains each refusal, and no token. */
async function expectLogged({ system }: Scene, refusals: Refusal[]): Promise<void> {
  const { relay } = system
  await relay.stop()
  const warnings = relay.log().filter(line => line.level === 40 && /report/.test(line.msg))
  expect(warnings.reduce((sum, { count = 1 }) => sum + Number(count), 0)).toBe(refusals.length)
  for (const { token } of refusals) {
    if (token && token.length > 20) expect(relay.printed()).not.toContain(token)
  }
  await system.restart()
}
