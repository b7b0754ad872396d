import { createHash, createSign, type KeyObject, type KeyPairKeyObjectResult, randomBytes } from 'node:crypto'
import { Hono } from 'hono'
import { type FakeServer, type FakeServerEnv, startFakeServer } from '../http-server.ts'
import { leaveKeyPairs, takeKeyPair } from './key-pairs.ts'

/** The values from which all of a token's claims are derived. */
export interface OidcRun {
  repository: string
  repositoryId: number
  runId: number
  runAttempt?: number
  eventName?: string
  ref?: string
  /** File name; default: `deploy.yml`. */
  workflow?: string
}

export interface OidcIssuer extends FakeServer {
  /** The issuer, exactly: `GITHUB_OIDC_ISSUER`. */
  readonly url: string
  /** The id of the current signing key. */
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** Signs with a new key from now on, and publishes the key. `forget` removes the previous keys. */
  rotate(options?: { forget?: boolean }): Promise<void>
  /** Returns the claims of GitHub's token for this run and this audience. */
  claims(run: OidcRun, audience: string): Record<string, unknown>
  /** Signs any claims as GitHub does: RS256, with the key id in the header. `header` overrides the header. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): string
  /** Returns a token as GitHub would issue it. */
  token(run: OidcRun, audience: string): string
  /** Returns a token endpoint's URL, and the bearer token that it requires, for a job with `id-token: write`. */
  runner(run: OidcRun): { url: string; requestToken: string }
}

const LIFE_S = 300

/**
 * Starts a fake of GitHub's OIDC issuer on a free port. It has RSA keys, and serves the JWKS and the token endpoint
 * that a runner passes to its jobs.
 *
 * @see https://docs.github.com/actions/reference/security/oidc
 */
export async function startOidcIssuer(): Promise<OidcIssuer> {
  const published: Record<string, unknown>[] = []
  const runners = new Map<string, OidcRun>()
  const pairs: KeyPairKeyObjectResult[] = []
  let key: KeyPairKeyObjectResult & { id: string }

  const app = new Hono<FakeServerEnv>()
  app.get('/.well-known/jwks', c => c.json({ keys: published }))
  app.get('/runner/idtoken', c => {
    const run = runners.get(/^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? '')
    if (!run) return c.json({ message: 'The request token is not valid' }, 401)
    const owner = `https://github.com/${run.repository.split('/')[0]}`
    return c.json({ count: 1, value: issuer.token(run, c.req.query('audience') ?? owner) })
  })
  app.all('*', c => c.notFound())
  const server = await startFakeServer(app, status => ({ body: { message: `status ${status}` } }))
  const issuer: OidcIssuer = {
    ...server,
    url: server.origin,
    async close() {
      await server.close()
      leaveKeyPairs(pairs)
    },
    get kid() {
      return key.id
    },
    get privateKey() {
      return key.privateKey
    },
    get publicKey() {
      return key.publicKey
    },
    async rotate({ forget } = {}) {
      const pair = takeKeyPair()
      pairs.push(pair)
      const jwk = pair.publicKey.export({ format: 'jwk' })
      const id = createHash('sha256').update(String(jwk.n)).digest('hex').slice(0, 40)
      key = { id, ...pair }
      if (forget) published.length = 0
      published.unshift({ ...jwk, kid: id, use: 'sig', alg: 'RS256', x5t: id.slice(0, 27) })
    },
    claims: (run, audience) => claimsOf(run, audience, issuer.url),
    sign(claims, header = {}) {
      const head = { typ: 'JWT', alg: 'RS256', x5t: key.id.slice(0, 27), kid: key.id, ...header }
      const signed = `${encode(head)}.${encode(claims)}`
      return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key.privateKey, 'base64url')}`
    },
    token: (run, audience) => issuer.sign(issuer.claims(run, audience)),
    runner(run) {
      const requestToken = randomBytes(24).toString('hex')
      runners.set(requestToken, run)
      return { url: `${issuer.url}/runner/idtoken?api-version=2.0`, requestToken }
    },
  }
  await issuer.rotate()
  return issuer
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

function claimsOf(run: OidcRun, audience: string, issuer: string): Record<string, unknown> {
  const { repository, repositoryId, runId, runAttempt = 1, eventName = 'repository_dispatch' } = run
  const { ref = 'refs/heads/main', workflow: file = 'deploy.yml' } = run
  const [owner = ''] = repository.split('/')
  const now = Math.floor(Date.now() / 1000)
  const workflow = `${repository}/.github/workflows/${file}@${ref}`
  const sha = 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0'
  return {
    jti: randomBytes(16).toString('hex'),
    sub: `repo:${owner}@6811672/${repository.split('/')[1]}@${repositoryId}:ref:${ref}`,
    aud: audience,
    ref,
    sha,
    repository,
    repository_owner: owner,
    repository_owner_id: '6811672',
    run_id: String(runId),
    run_number: '7',
    run_attempt: String(runAttempt),
    repository_visibility: 'private',
    repository_id: String(repositoryId),
    actor_id: '583231',
    actor: 'octocat',
    workflow: 'Deploy',
    head_ref: '',
    base_ref: '',
    event_name: eventName,
    ref_protected: 'false',
    ref_type: 'branch',
    workflow_ref: workflow,
    workflow_sha: sha,
    job_workflow_ref: workflow,
    job_workflow_sha: sha,
    runner_environment: 'github-hosted',
    iss: issuer,
    nbf: now - 300,
    exp: now + LIFE_S,
    iat: now,
  }
}
