import type { JsonObject } from '../../port/types.ts'

export const EXAMPLE_RELAY = 'https://relay.example.com'

export interface Start {
  event: 'workflow_dispatch' | 'repository_dispatch'
  name: string | null
  repository: string | null
  ref?: string | null
}

/** @param agent whether Port's agent delivers the webhook, so that `relay` can be an address inside a network */
export function invocationMethod(
  relay: string,
  { event, name, repository, ref }: Start,
  agent = false,
): JsonObject {
  const url = new URL(`${relay}/webhook${repository ? `/${repository}` : ''}`)
  if (name) url.searchParams.set(event === 'workflow_dispatch' ? 'workflow' : 'event_type', name)
  if (ref) url.searchParams.set('ref', ref)
  return {
    type: 'WEBHOOK',
    url: url.href,
    agent,
    synchronized: false,
    method: 'POST',
    body: RECOMMENDED_BODY,
  }
}

export const placeholderNotes = ({ url }: JsonObject): string[] =>
  String(url).startsWith(EXAMPLE_RELAY)
    ? [`Replace ${EXAMPLE_RELAY} with the address of your relay, or pass --relay.`]
    : []

/**
 * The body with all fields that the relay uses, and with no data of the user except the name and email address. `event`
 * is null for an action. `inputs` and `entity` are null for an automation. Port doesn't accept a string as a body.
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
