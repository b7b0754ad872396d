import type { JsonObject } from '../types.ts'

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
