import { isLoopback } from '../../port/text.ts'
import { type Config, VARIABLES } from '../../relay/config/config.ts'
import { matcher } from '../../relay/config/routes.ts'
import { whyNotWritable } from '../../relay/store/failures.ts'
import { ofAnotherOrganization } from '../../relay/store/migrations.ts'
import { openStore, openStoreForCommand } from '../../relay/store/open.ts'
import type { Env } from '../command.ts'
import { type Check, type Finding, ok, problem, warning } from './check.ts'

const HOUR = 3_600_000
const LONGEST_RUN = 35 * 24 * HOUR

/** Finds variables whose values are in quotes, even if the configuration is invalid. */
export const checkQuotes = (env: Env): (Finding & { name: string })[] =>
  VARIABLES.filter(name => /^(["']).*\1$/s.test(env[name] ?? '')).map(name => ({
    name,
    ...problem(
      `${name} is in quotes, which count as part of its value: remove the quotes (Docker's --env-file keeps them).`,
    ),
  }))

/** Finds valid settings that the operator probably didn't intend. */
const advice = (config: Config): Record<string, false | 'problem' | 'warning'> => {
  const { github, targets, webhook, port, startTimeout, runTimeout, adminToken, viewToken } = config
  return {
    'GITHUB_API_URL is github.com: remove this variable to use the default, https://api.github.com.':
      /^https?:\/\/(www\.)?github\.com(\/|$)/i.test(github.apiUrl) && 'problem',
    "GITHUB_API_URL doesn't end with /api/v3: an Enterprise Server's API is at https://HOSTNAME/api/v3.":
      isServerWithoutPath(new URL(github.apiUrl)) && 'warning',
    'No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES.':
      targets.allowed.length === 0 && 'problem',
    'RELAY_ALLOWED_REPOSITORIES allows every repository: anyone who can edit actions in Port can dispatch to all repositories that the credential can access. Instead of the pattern, name each repository.':
      targets.allowed.some(glob => /^\*+\/\*+$/.test(glob)) && 'warning',
    'RELAY_START_TIMEOUT never applies, because it is longer than RELAY_RUN_TIMEOUT: shorten RELAY_START_TIMEOUT.':
      startTimeout > runTimeout && 'problem',
    'RELAY_START_TIMEOUT is less than a minute: a workflow run may take longer to appear on GitHub.':
      startTimeout < 60_000 && 'warning',
    'RELAY_RUN_TIMEOUT is longer than 35 days, after which GitHub cancels a workflow run.':
      runTimeout > LONGEST_RUN && 'warning',
    'RELAY_TOLERANCE is longer than an hour: a captured webhook can be replayed for that long. A few minutes are enough.':
      webhook.tolerance > HOUR && 'warning',
    'RELAY_TOLERANCE is less than 10 s: webhooks that take longer to arrive are refused.':
      webhook.tolerance < 10_000 && 'problem',
    'RELAY_RETENTION is less than an hour: a failed delivery is deleted before an operator can redeliver it.':
      config.retention < HOUR && 'warning',
    "PORT_CLIENT_ID isn't set: the relay dispatches, but sends no results to Port.":
      port.clientId === null && 'warning',
    "RELAY_ADMIN_TOKEN isn't set: the dashboard, the admin API, and the commands that use it are off.":
      adminToken === null && viewToken === null && 'warning',
    "RELAY_ADMIN_TOKEN isn't set: the dashboard is read-only, and the commands that change deliveries are off.":
      adminToken === null && viewToken !== null && 'warning',
    "RELAY_PUBLIC_URL isn't set: workflows can't report through the relay.":
      config.publicUrl === null && 'warning',
    "RELAY_REPORT_DELETE_BLUEPRINTS matches Port's own blueprints, such as _user, so workflow runs can delete users. Instead of the pattern, name each blueprint, or add !_* to the pattern.":
      matcher(config.reportDeleteBlueprints)('_user') && 'warning',
    "GITHUB_WEBHOOK_SECRET isn't set: without GitHub's webhooks, the relay polls for workflow runs and sends their results to Port later.":
      github.webhookSecret === null && 'warning',
  }
}

/** Whether an Enterprise Server's URL lacks /api/v3. GitHub.com and GHE.com need no path, because their API has its own host. Neither does a fake GitHub, which is on loopback. */
const isServerWithoutPath = ({ hostname, pathname }: URL) =>
  !/(^|\.)(github|ghe)\.com$/i.test(hostname) && !isLoopback(hostname) && !/\/api\/v3\/?$/.test(pathname)

export const configuration: Check = {
  name: 'configuration',
  run({ config }) {
    const found = Object.entries(advice(config)).map(([sentence, status]) => status && { status, sentence })
    const all = [...found, unusedRoute(config.targets.routes)].filter(Boolean)
    return all.length > 0 ? all : [ok('The configuration is valid.')]
  },
}

function unusedRoute(routes: Config['targets']['routes']): Finding | false {
  const all = routes.findIndex(({ match }) =>
    Object.values(match).every(glob => glob === undefined || /^\*+$/.test(glob)),
  )
  if (all < 0 || all === routes.length - 1) return false
  return warning(`RELAY_ROUTES: route ${all + 2} is unused, because route ${all + 1} matches everything.`)
}

/** Opens the database as the relay does, creates missing tables, and writes to the database. */
export const database: Check = {
  name: 'database',
  async run({ config }) {
    const name =
      config.database.kind === 'sqlite' ? `The database ${config.database.path}` : 'The PostgreSQL database'
    let isInUse = false
    const store = await openStore(config.database, null).catch(error => {
      isInUse = /^Another relay is running/.test(error.message)
      if (isInUse) return openStoreForCommand(config.database, 'write')
      throw error
    })
    try {
      await store.ping()
      const { clientId } = config.port
      const stored = await store.organization(null)
      if (stored !== null && stored !== clientId)
        return [problem(`The database (RELAY_DATABASE) ${ofAnotherOrganization(stored, clientId)}`)]
      return [ok(isInUse ? `${name} is in use by a relay, and writable.` : `${name} is writable.`)]
    } catch (error) {
      const { message } = error as Error
      const why = whyNotWritable(error, ` (${message})`) ?? `${message}.`
      return [problem(`${name} doesn't accept writes: ${why}`)]
    } finally {
      await store.close()
    }
  },
}
