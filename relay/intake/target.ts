import { getQueryParams, tryDecodeURIComponent } from 'hono/utils/url'
import picomatch from 'picomatch'
import type { Invocation } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import {
  DEFAULT_EVENT_TYPE,
  EVENT_TYPE_RULE,
  EXCLUSIVE,
  isEventType,
  isRef,
  isRepository,
  isWorkflow,
  matcher,
  REF_NEEDS_WORKFLOW,
  REF_RULE,
  type Route,
  WORKFLOW_RULE,
} from '../config/routes.ts'
import type { Delivery } from '../delivery/delivery.ts'
import type { Target } from '../github/client.ts'
import { Problem } from '../http/problem.ts'

type NamedTarget = Record<keyof Target, string | null>

export type TargetSource = 'body' | 'url' | 'route' | 'default'

/**
 * Creates a function that chooses a webhook's target. The first of these that sets a target decides: the signed body,
 * the URL, the first matching route, `RELAY_REPOSITORY`.
 * @returns a function that throws Problem 422 if nothing sets a target, and 403 if the target isn't allowed
 */
export function createTargets(targets: Config['targets']) {
  const isAllowed = matcher(targets.allowed)
  const routes = targets.routes.map(route => {
    const { repository, event_type: eventType = null, workflow = null, ref = null, rerun } = route
    return { target: { repository, eventType, workflow, ref }, rerun, matches: routeMatcher(route) }
  })
  return (
    invocation: Invocation,
    url: NamedTarget,
  ): Target & { from: TargetSource; rerunAt: Delivery['rerunAt'] } => {
    const body = invocation.github
    if (body?.fault) throw new Problem(422, body.fault)
    const given = body?.repository ?? url.repository
    const found = given ? undefined : routes.find(({ matches }) => matches(invocation))
    const route = found?.target
    const repository = given ?? route?.repository ?? targets.repository
    if (!repository)
      throw new Problem(
        422,
        'The webhook sets no repository: set one in the webhook URL (/webhook/owner/repo), in the body ' +
          '("github": {"repository": "owner/name"}), in RELAY_ROUTES or in RELAY_REPOSITORY.',
      )
    if (!isRepository(repository))
      throw new Problem(422, `${quote(repository)} isn't a repository: it must be owner/name.`)
    if (!isAllowed(repository))
      throw new Problem(
        403,
        `${repository} isn't in RELAY_ALLOWED_REPOSITORIES: add it there to allow dispatches to it.`,
      )
    // Names become lowercase, so that each repository has a single queue. GitHub ignores the case of names.
    const from = body?.repository ? 'body' : url.repository ? 'url' : route ? 'route' : 'default'
    const rerunAt = (body?.rerun ?? found?.rerun) ? 0 : null
    return { repository: repository.toLowerCase(), ...chooseDispatch(body, url, route), from, rerunAt }

    function chooseDispatch(...sources: (NamedTarget | null | undefined)[]): Omit<Target, 'repository'> {
      const named = sources.filter(source => source !== null && source !== undefined)
      for (const { eventType, workflow } of named) {
        if (eventType !== null && workflow !== null) throw new Problem(422, `${EXCLUSIVE}.`)
      }
      const at = named.findIndex(source => source.eventType !== null || source.workflow !== null)
      const chosen = named[at]
      const ref = (at < 0 ? named : named.slice(0, at + 1)).find(source => source.ref !== null)?.ref ?? null
      if (chosen?.workflow != null) {
        const { workflow } = chosen
        if (!isWorkflow(workflow))
          throw new Problem(422, `${quote(workflow)} can't be a workflow: it ${WORKFLOW_RULE}.`)
        if (ref !== null && !isRef(ref))
          throw new Problem(422, `${quote(ref)} can't be a ref: it ${REF_RULE}.`)
        return { eventType: null, workflow, ref }
      }
      if (ref !== null) throw new Problem(422, `${REF_NEEDS_WORKFLOW}.`)
      const eventType = chosen?.eventType ?? invocation.action ?? DEFAULT_EVENT_TYPE
      if (!isEventType(eventType)) {
        const cure = chosen ? '' : " Change the action's identifier, or add ?event_type= to the webhook URL."
        throw new Problem(422, `${quote(eventType)} can't be an event type: it ${EVENT_TYPE_RULE}.${cure}`)
      }
      return { eventType, workflow: null, ref: null }
    }
  }
}

function routeMatcher({ match }: Route): (invocation: Invocation) => boolean {
  const tests = (['action', 'blueprint', 'operation'] as const).flatMap(field => {
    const glob = match[field]
    // A star also matches `/`, because the values aren't paths.
    return glob === undefined
      ? []
      : [{ field, test: picomatch(glob, { dot: true, posix: true, bash: true }) }]
  })
  return invocation => tests.every(({ field, test }) => test(invocation[field] ?? ''))
}

const quote = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

const PARAMETERS = ['event_type', 'workflow', 'ref', 'wait']

/** Reads the parameters in a webhook's URL. @throws Problem 422 for an invalid parameter, because ignoring the parameter could lead to a wrong target */
export function readAddress(url: string): { url: NamedTarget; wait: boolean } {
  const [path = ''] = url.split(/[?#]/, 1)
  const repository = path.split('/').slice(4).map(tryDecodeURIComponent).join('/') || null
  const given = getQueryParams(url) as Record<string, string[]>
  for (const [name, values] of Object.entries(given)) {
    if (!PARAMETERS.includes(name))
      throw refuse(`has the unknown parameter ${quote(name)}: use only ${PARAMETERS.join(', ')}`)
    if (values.length > 1) throw refuse(`has the parameter ${name} ${values.length} times: keep one`)
  }
  const [eventType = null, workflow = null, ref = null, wait] = PARAMETERS.map(
    name => given[name]?.[0] || null,
  )
  if (wait && wait !== 'dispatch') throw refuse(`has wait=${quote(wait)}: the only valid value is "dispatch"`)
  return { url: { repository, eventType, workflow, ref }, wait: wait === 'dispatch' }
}

const refuse = (fault: string) => new Problem(422, `The webhook URL ${fault}.`)
