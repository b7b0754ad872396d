import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import type { JsonObject } from '../../port/types.ts'
import type { Config } from '../../relay/config/config.ts'
import { isRepository, matcher, type Route } from '../../relay/config/routes.ts'
import { atOf, CredentialError, createCredential } from '../../relay/github/credentials.ts'
import { readFailure } from '../../relay/github/errors.ts'
import { readLimit } from '../../relay/github/rate-limit-pause.ts'
import { readFile } from '../../relay/github/workflow-files.ts'
import { openStoreForCommand } from '../../relay/store/open.ts'
import { OFFERED_INPUTS } from '../../workflow-files/reads.ts'
import { namesOf } from '../../workflow-files/refusal.ts'
import { eventTypes, inputsOf, readEvents } from '../../workflow-files/triggers.ts'
import { isOwnPort } from '../generate/to-action.ts'
import { type Check, type Finding, ok, problem, warning, whyUnreachable } from './check.ts'

/** Explains why the relay can't read a repository or file; empty if the check of the credential has already reported the problem. */
export function refusal(error: unknown, name: string, repository = name): Finding[] {
  const cause = error instanceof CredentialError ? error.cause : error
  const status = cause instanceof RequestError && cause.response ? cause.status : null
  if (status === 401) return []
  if (status === null)
    return [problem(`${name} can't be read: GitHub can't be reached (${whyUnreachable(cause)}).`)]
  if (error instanceof CredentialError) {
    const { kind, reason } = readFailure(error, { repository, now: 0, tries: 0 })
    return [problem(kind === 'forbidden' ? reason : `${name} can't be read: ${reason}.`)]
  }
  if (status === 404)
    return [problem(`GitHub can't find ${name}: it doesn't exist, or the credential has no access to it.`)]
  const why = readLimit(cause, 0, 0)
    ? `GitHub limits the relay's requests (${status}). Run this command again later.`
    : `GitHub responded with ${status}.`
  return [problem(`${name} can't be read: ${why}`)]
}

type Wanted = Record<'eventType' | 'workflow' | 'ref', string | null>
type WantedIn = Wanted & { repository: string }

export const ANYTHING: Wanted = { eventType: null, workflow: null, ref: null }

/** The maximum age of a failure, and the maximum numbers of failures to read and of targets to check. */
const RECENT_MS = 24 * 3_600_000
const MAX_READ = 200
const MAX_CHECKED = 20

/** Returns the targets of recent deliveries that failed or started no workflow. */
export async function readFailures({ database, targets }: Config, now: number): Promise<WantedIn[]> {
  const store = await openStoreForCommand(database, 'read').catch(() => null)
  if (!store) return []
  try {
    const lists = (['failed', 'dispatched'] as const).map(state =>
      store.list({ state, since: now - RECENT_MS }, { limit: MAX_READ }),
    )
    const found = (await Promise.all(lists)).flat()
    const isAllowed = matcher(targets.allowed)
    const wanted = found
      .filter(({ repository, reason }) => reason !== null && isAllowed(repository))
      .map(({ repository, eventType, workflow, ref }) => ({ repository, eventType, workflow, ref }))
    return [...new Map(wanted.map(each => [JSON.stringify(each), each])).values()].slice(0, MAX_CHECKED)
  } finally {
    await store.close()
  }
}

export function repositoryChecks(config: Config, more: WantedIn[] = []): Check[] {
  const { repository, routes, allowed } = config.targets
  const names = [repository, ...routes.map(route => route.repository), ...allowed].filter(
    (name): name is string => name !== null && isRepository(name),
  )
  const all = [...names, ...more.map(each => each.repository)].map(name => name.toLowerCase())
  const isAllowed = matcher(allowed)
  return [...new Set(all)].map(name => ({
    name,
    async run({ config, clock }) {
      const credential = createCredential(config.github, clock)
      const wanted = wantedOf([...routes.map(ofRoute), ...more], name)
      return [
        !isAllowed(name) &&
          problem(`${name} isn't in RELAY_ALLOWED_REPOSITORIES: add it there to allow dispatches to it.`),
        ...(await credential
          .use(name, octokit => checkRepository(octokit, name, wanted))
          .catch(error => refusal(error, name))),
      ]
    },
  }))
}

function ofRoute({ match, repository, event_type, workflow, ref }: Route): WantedIn {
  const action = match.action !== undefined && /^[\w-]+$/.test(match.action) ? match.action : null
  return { repository, eventType: event_type ?? action, workflow: workflow ?? null, ref: ref ?? null }
}

function wantedOf(all: WantedIn[], name: string): Wanted[] {
  const own = all
    .filter(({ repository }) => repository.toLowerCase() === name)
    .map(({ repository: _, ...wanted }) => JSON.stringify(wanted))
  return own.length === 0 ? [ANYTHING] : [...new Set(own)].map(each => JSON.parse(each) as Wanted)
}

async function checkRepository(octokit: Octokit, name: string, wanted: Wanted[]): Promise<Finding[]> {
  const { owner, repo } = atOf(name)
  const { data } = await octokit.repos.get({ owner, repo })
  if (data.full_name.toLowerCase() !== name)
    return [warning(`${name} is now ${data.full_name}: change the name in the relay's configuration.`)]
  if (data.archived) return [problem(`${name} is archived: GitHub starts no workflow there.`)]
  const events = wanted.filter(({ workflow }) => workflow === null)
  const isRefused = events.length > 0 && data.permissions?.push === false
  const access = isRefused
    ? problem(
        `The relay's credential can't dispatch to ${name}: the credential needs the permission Contents: write.`,
      )
    : ok(
        events.length === wanted.length
          ? `The relay's credential can dispatch to ${name}.`
          : // GitHub doesn't reveal whether a credential has Actions: write.
            `The relay's credential can read ${name}. To start a workflow, the credential needs the permission Actions: write.`,
      )
  const left = isRefused ? wanted.filter(each => !events.includes(each)) : wanted
  if (left.length === 0) return [access]
  let listed: Listed[]
  try {
    listed = await octokit.paginate(octokit.actions.listRepoWorkflows, { owner, repo, per_page: 100 })
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 403) throw error
    return [...(isRefused ? [access] : []), unlisted(name, events.length < wanted.length)]
  }
  const branch = data.default_branch
  const found = { name, branch, listed, read: createReader(octokit, owner, repo, branch) }
  return [access, ...(await Promise.all(left.map(each => checkWanted(found, each))))]
}

function unlisted(name: string, startsWorkflow: boolean): Finding {
  return startsWorkflow
    ? problem(
        `The relay's credential can't start a workflow of ${name}: the credential needs the permission Actions: write.`,
      )
    : warning(
        `The relay's credential lacks the permission Actions: read on ${name}: the relay can follow a workflow run only through the action's reports and GitHub's webhooks. Without webhooks, Port shows the result of the first job that reports, not of the whole run.`,
      )
}

type Listed = { path: string; state: string; id: number }
type Repository = { name: string; branch: string; listed: Listed[]; read: ReturnType<typeof createReader> }

/** Reads the events of a workflow file; null if the file can't be read. */
function createReader(octokit: Octokit, owner: string, repo: string, branch: string) {
  const known = new Map<string, Promise<JsonObject | null>>()
  return (path: string, ref: string | null): Promise<JsonObject | null> => {
    const file = { owner, repo, path, ref: ref ?? branch }
    const key = `${file.ref}:${path}`
    const events = known.get(key) ?? readFile(octokit, file).then(readEvents, () => null)
    known.set(key, events)
    return events
  }
}

const fileOf = (path: string) => path.replace(/^.*\//, '')

const checkWanted = (found: Repository, { eventType, workflow, ref }: Wanted): Promise<Finding> =>
  workflow === null ? checkEventType(found, eventType) : checkWorkflow(found, workflow, ref)

async function checkEventType({ name, branch, listed, read }: Repository, eventType: string | null) {
  const listening: Listed[] = []
  for (const workflow of listed) {
    const events = await read(workflow.path, null)
    const types = events && eventTypes(events)
    const listens = eventType === null ? types?.length !== 0 : types === 'all' || types?.includes(eventType)
    if (types && listens) listening.push(workflow)
  }
  const what =
    eventType === null ? 'repository_dispatch' : `repository_dispatch of type ${JSON.stringify(eventType)}`
  const active = listening.find(({ state }) => state === 'active')
  if (active) return ok(`${name}: ${fileOf(active.path)} listens to ${what}.`)
  const file = listening[0] && fileOf(listening[0].path)
  if (file)
    return problem(`${name}: ${file} listens to ${what}, but the workflow is disabled: enable it on GitHub.`)
  const none = `${name}: no workflow on ${branch} listens to ${what}.`
  return eventType === null ? warning(none) : problem(none)
}

async function checkWorkflow({ name, listed, read }: Repository, workflow: string, ref: string | null) {
  const found = listed.find(({ path, id }) => fileOf(path) === workflow || String(id) === workflow)
  if (!found) return problem(`${name} has no workflow ${workflow}.`)
  if (found.state !== 'active') return problem(`${name}: ${workflow} is disabled: enable it on GitHub.`)
  const events = await read(found.path, ref)
  if (!events)
    return warning(`${name}: ${workflow} can't be read: the credential needs the permission Contents: read.`)
  if (!('workflow_dispatch' in events))
    return problem(`${name}: ${workflow} has no workflow_dispatch: add it under "on".`)
  const inputs = inputsOf(events, '')?.declared ?? {}
  const offered = OFFERED_INPUTS.filter(each => Object.hasOwn(inputs, each))
  if (offered.length === 0)
    return warning(
      `${name}: ${workflow} declares no input "port": without it, the action doesn't know the run in Port.`,
    )
  if (offered.includes('port') && isOwnPort(inputs.port))
    return warning(
      `${name}: the input "port" of ${workflow} isn't meant for the relay, but the relay sends its payload in it, unless the Port action has an input "port": rename the workflow's input.`,
    )
  return ok(`${name}: ${workflow} has workflow_dispatch and declares ${namesOf(offered)}.`)
}
