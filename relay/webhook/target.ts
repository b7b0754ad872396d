import picomatch from 'picomatch'
import type { Invocation } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import { EVENT_TYPE_RULE, isEventType, isRepository, matcher, type Route } from '../config/routes.ts'
import { Problem } from '../http/problem.ts'

export interface Target {
  repository: string
  eventType: string
}

/** What the URL says: `/webhook/:owner/:repo?event_type=`. */
export interface UrlTarget {
  repository: string | null
  eventType: string | null
}

/**
 * Where a delivery goes. First that answers: the signed body, the URL, the first matching route,
 * `RELAY_REPOSITORY`; always within the allow-list, which is closed where nothing opens it.
 *
 * @returns a function that throws a Problem, 422 or 403, where there is no target or it is not allowed
 */
export function createTargets(
  targets: Config['targets'],
): (invocation: Invocation, url: UrlTarget) => Target {
  const isAllowed = matcher(targets.allowed)
  const routes = targets.routes.map(route => ({ route, matches: routeMatcher(route) }))
  return (invocation, url) => {
    const body = invocation.github
    if (body?.fault) throw new Problem(422, body.fault)
    const given = body?.repository ?? url.repository
    const route = given ? undefined : routes.find(({ matches }) => matches(invocation))?.route
    const repository = given ?? route?.repository ?? targets.repository
    const named = body?.eventType ?? url.eventType ?? route?.event_type
    const eventType = named ?? invocation.action ?? targets.eventType
    if (!repository) {
      throw new Problem(
        422,
        'Nothing says which repository this is for: name it in the webhook URL (/webhook/owner/repo), in the body ' +
          '("github": {"repository": "owner/name"}), in RELAY_ROUTES or in RELAY_REPOSITORY.',
      )
    }
    if (!isRepository(repository)) {
      throw new Problem(422, `${quote(repository)} is not a repository: it must be owner/name.`)
    }
    if (!isAllowed(repository)) {
      throw new Problem(
        403,
        `${repository} is not in RELAY_ALLOWED_REPOSITORIES: add it there to let Port dispatch to it.`,
      )
    }
    if (!isEventType(eventType)) {
      const cure = named ? '' : " Change the action's identifier, or add ?event_type= to the webhook URL."
      throw new Problem(422, `${quote(eventType)} cannot be an event type: it ${EVENT_TYPE_RULE}.${cure}`)
    }
    // Upper and lower case are one to GitHub, and so one queue here: order is kept by repository.
    return { repository: repository.toLowerCase(), eventType }
  }
}

function routeMatcher({ match }: Route): (invocation: Invocation) => boolean {
  const tests = (['action', 'blueprint', 'operation'] as const).flatMap(field => {
    const glob = match[field]
    // These are names and no paths: as in bash's own patterns, a star stands for a `/` too.
    return glob === undefined
      ? []
      : [{ field, test: picomatch(glob, { dot: true, posix: true, bash: true }) }]
  })
  return invocation => tests.every(({ field, test }) => test(invocation[field] ?? ''))
}

const quote = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
