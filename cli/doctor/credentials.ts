import { createAppAuth } from '@octokit/auth-app'
import { RequestError } from '@octokit/request-error'
import { Octokit } from '@octokit/rest'
import { createPortClient } from '../../port/client/client.ts'
import { octokitOptions } from '../../relay/github/credentials.ts'
import { readLimit } from '../../relay/github/rate-limit-pause.ts'
import type { Check, CheckDeps, Finding, Findings } from './check.ts'
import { compareClock, ok, problem, secondsAhead, TIMEOUT_MS, warning, whyUnreachable } from './check.ts'

/** If the clocks differ by more than this, GitHub rejects an App's tokens. */
const APP_CLOCK_MS = 60_000
const SOON_MS = 14 * 24 * 3_600_000

type Headers = { date?: string | undefined; [name: string]: string | number | undefined }

/** Checks whether GitHub accepts the token or the App, when the token expires, and where the App's webhooks go. */
export const github: Check = {
  name: 'github',
  async run(deps) {
    const { apiUrl, auth } = deps.config.github
    const options = octokitOptions(apiUrl, (url, init) =>
      deps.fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    )
    try {
      if ('token' in auth) {
        const found = await checkToken(new Octokit({ ...options, auth: auth.token }), deps)
        return [...found, withoutChecks(auth.token, deps)]
      }
      return await checkApp(new Octokit({ ...options, authStrategy: createAppAuth, auth }), deps)
    } catch (error) {
      return [problem(refusal(error, apiUrl, 'token' in auth))]
    }
  },
}

async function checkToken(octokit: Octokit, { clock }: CheckDeps): Promise<Findings> {
  const response = await octokit.request('GET /rate_limit').catch(error => {
    if (isWithoutLimit(error)) return null
    throw error
  })
  if (!response) return [ok('GitHub accepts GITHUB_TOKEN.')]
  const { data, headers } = response
  if (typeof data !== 'object' || !('rate' in data)) throw new TypeError('not GitHub')
  const { limit, remaining, reset } = data.rate
  const expires = Date.parse(String((headers as Headers)['github-authentication-token-expiration'] ?? ''))
  const [expiry, resetAt] = [expires || 0, reset * 1000].map(time => new Date(time).toISOString())
  return [
    ok('GitHub accepts GITHUB_TOKEN.'),
    expires - clock() < SOON_MS &&
      warning(`GITHUB_TOKEN expires on ${expiry!.slice(0, 10)}: renew it before then.`),
    remaining < limit / 10 &&
      warning(
        `GitHub's rate limit is nearly used up: ${remaining} of ${limit} requests are left until ${resetAt!.slice(11, 16)} UTC. Give the relay its own credential.`,
      ),
    compareClock(
      "GitHub's",
      secondsAhead(headers.date, clock()),
      Number.POSITIVE_INFINITY,
      "times in the relay's log and in Port are wrong.",
    ),
  ]
}

const COST = "Port's log doesn't show the annotations of failed jobs, and rerun: lost-runner has no effect."

/** @see https://docs.github.com/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens */
function withoutChecks(token: string, { config }: CheckDeps): Finding | false {
  if (!token.startsWith('github_pat_')) return false
  const state = config.targets.routes.some(({ rerun }) => rerun) ? warning : ok
  return state(
    `GITHUB_TOKEN is a fine-grained token, which can't have the permission Checks: read. ${COST} For both, use a GitHub App.`,
  )
}

/** Whether an error is the response of an Enterprise Server without rate limits, which shows that the credential is valid. */
const isWithoutLimit = (error: unknown) =>
  error instanceof RequestError && error.status === 404 && /rate limiting is not enabled/i.test(error.message)

async function checkApp(octokit: Octokit, { clock, config }: CheckDeps): Promise<Findings> {
  const { data, headers } = await octokit.request('GET /app')
  if (!data?.slug) throw new TypeError('not GitHub')
  const { webhookSecret } = config.github
  return [
    ok(`GitHub accepts the App ${data.slug}.`),
    !data.permissions.checks &&
      warning(
        `The GitHub App ${data.slug} lacks the permission Checks: read. ${COST} Set the permission in the App's settings, under Permissions & events.`,
      ),
    webhookSecret !== null &&
      !data.events.includes('workflow_run') &&
      warning(
        `The GitHub App ${data.slug} doesn't subscribe to workflow_run: select this event in the App's settings, under Permissions & events.`,
      ),
    webhookSecret !== null && (await checkHook(octokit, config.publicUrl)),
    compareClock(
      "GitHub's",
      secondsAhead(headers.date, clock()),
      APP_CLOCK_MS,
      "GitHub rejects an App's tokens if the clocks differ by more than a minute.",
    ),
  ]
}

async function checkHook(octokit: Octokit, publicUrl: string | null): Promise<Finding | false> {
  const hook = await octokit.request('GET /app/hook/config').catch(() => null)
  if (!hook || publicUrl === null) return false
  const { url, content_type } = hook.data
  const wanted = `${publicUrl}/github`
  const sends = 'The GitHub App sends its webhooks'
  if (url !== wanted) return warning(`${sends} to ${url || 'no address'}: set its webhook URL to ${wanted}.`)
  if (content_type !== 'json')
    return warning(`${sends} as a form: set their content type to application/json.`)
  return ok(`${sends} to ${wanted}.`)
}

function refusal(error: unknown, apiUrl: string, isToken: boolean): string {
  const response = error instanceof RequestError ? error.response : undefined
  if (error instanceof RequestError && response) {
    const message = (response.data as { message?: unknown } | null)?.message
    const isUnknownApp = !isToken && /integration not found/i.test(String(message))
    if ((error.status === 401 || isUnknownApp) && typeof message === 'string') {
      return isToken
        ? `GitHub rejects GITHUB_TOKEN (401: ${message}): the token is wrong, expired, or revoked. Set a new token.`
        : `GitHub rejects the App (${error.status}: ${message}): check that GITHUB_APP_ID is correct, that GITHUB_APP_PRIVATE_KEY is a key of that App, and that this machine's clock is right.`
    }
    if (readLimit(error, 0, 0))
      return `GitHub limits the relay's requests (${error.status}): run this command again later. Deliveries wait until the limit ends.`
    if (error.status >= 500) return `GitHub responded with ${error.status}: see https://www.githubstatus.com.`
  }
  if (response || error instanceof TypeError)
    return `GITHUB_API_URL (${apiUrl}) doesn't respond like GitHub's API. The API URL of an Enterprise Server ends with /api/v3.`
  return `GitHub can't be reached at ${apiUrl} (${whyUnreachable(error)}): check GITHUB_API_URL, and whether this machine can reach it (proxy, firewall).`
}

export const port: Check = {
  name: 'port',
  async run({ config, clock, fetch }) {
    const { clientId, apiUrl, secrets } = config.port
    if (clientId === null) return []
    let date: string | null = null
    const client = createPortClient({
      ...{ apiUrl, clientId, clientSecret: secrets[0], clock },
      timeoutMs: TIMEOUT_MS,
      fetch: async (url, init) => {
        const response = await fetch(url, { ...init, redirect: 'manual' })
        date = response.headers.get('date')
        return response
      },
    })
    await client.authorize()
    const { tolerance } = config.webhook
    return [
      ok(`Port (${new URL(apiUrl).host}) accepts PORT_CLIENT_ID and PORT_CLIENT_SECRET.`),
      compareClock(
        "Port's",
        secondsAhead(date, clock()),
        tolerance,
        `webhooks are refused if the difference exceeds RELAY_TOLERANCE (${tolerance / 1000} s).`,
      ),
    ]
  },
}
