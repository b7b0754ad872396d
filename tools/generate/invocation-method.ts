import { isObject, type JsonObject } from '../../port/types.ts'
import type { PortAction } from './port-action.ts'

/** Stands in the address until the relay's own is known. */
export const EXAMPLE_RELAY = 'https://relay.example.com'

/** What a webhook of Port starts. */
export interface Start {
  event: 'workflow_dispatch' | 'repository_dispatch'
  /** The file of a workflow, or the event type; null for the action's identifier. */
  name: string | null
  repository: string | null
}

/** A webhook to the relay, with all that Port knows in its body. */
export function invocationMethod(relay: string, { event, name, repository }: Start): JsonObject {
  const url = new URL(`${relay}/webhook${repository ? `/${repository}` : ''}`)
  if (name) url.searchParams.set(event === 'workflow_dispatch' ? 'workflow' : 'event_type', name)
  return {
    type: 'WEBHOOK',
    url: url.href,
    agent: false,
    synchronized: false,
    method: 'POST',
    body: RECOMMENDED_BODY,
  }
}

/** What a Port action starts as it is: by a webhook to the relay, or by Port's GitHub App or integration. */
export function readStart({ invocationMethod: method }: Pick<PortAction, 'invocationMethod'>): Start {
  const ofIntegration = method.integrationActionExecutionProperties
  if (method.type === 'GITHUB' || isObject(ofIntegration)) {
    const { org, repo, workflow } = githubMethod(isObject(ofIntegration) ? ofIntegration : method)
    return { event: 'workflow_dispatch', name: workflow, repository: org && repo ? `${org}/${repo}` : null }
  }
  const url = typeof method.url === 'string' ? URL.parse(method.url) : null
  const body = isObject(method.body) && isObject(method.body.github) ? method.body.github : {}
  const workflow = fixed(body.workflow) ?? fixed(url?.searchParams.get('workflow'))
  const eventType = fixed(body.event_type) ?? fixed(url?.searchParams.get('event_type'))
  const inPath = /\/webhook\/([\w.-]+\/[\w.-]+)\/?$/.exec(url?.pathname ?? '')?.[1]
  const repository = fixed(body.repository) ?? inPath ?? null
  if (workflow || method.type !== 'WEBHOOK') return { event: 'workflow_dispatch', name: workflow, repository }
  return { event: 'repository_dispatch', name: eventType, repository }
}

function githubMethod(method: JsonObject): Record<'org' | 'repo' | 'workflow', string | null> {
  return { org: fixed(method.org), repo: fixed(method.repo), workflow: fixed(method.workflow) }
}

/** A text that Port does not compute. */
const fixed = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && !value.includes('{{') ? value : null

/**
 * The `body` of a Port action or automation that calls the relay: all that the relay uses, and nothing else. Port takes
 * an object or an array here, never a string. Of the user, who has a phone number and a picture too, it names no more
 * than the relay passes on. `event` is null for an action, `inputs` and `entity` are null for an automation.
 *
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-the-backend#trigger-data
 */
export const RECOMMENDED_BODY: JsonObject = {
  run: { id: '{{ .run.id }}' },
  action: {
    identifier: '{{ .action.identifier }}',
    blueprint: '{{ .action.blueprint }}',
    encryptedProperties: '{{ .action.encryptedProperties }}',
  },
  inputs: '{{ .inputs }}',
  entity: '{{ .entity }}',
  event: '{{ .event }}',
  trigger: {
    operation: '{{ .trigger.operation }}',
    origin: '{{ .trigger.origin }}',
    at: '{{ .trigger.at }}',
    by: {
      user: {
        email: '{{ .trigger.by.user.email }}',
        firstName: '{{ .trigger.by.user.firstName }}',
        lastName: '{{ .trigger.by.user.lastName }}',
      },
    },
  },
}
