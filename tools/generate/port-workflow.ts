import { isDeepStrictEqual } from 'node:util'
import { object } from '../../port/invocation/values.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { RECOMMENDED_BODY } from './invocation-method.ts'
import { formOf, given, type PortAction, type Property } from './port-action.ts'

/**
 * Converts a self-service action to a Port workflow: a form, an approval if the action requires one, and a webhook node
 * for the relay. The node run finishes when the workflow run on GitHub finishes.
 * @returns the workflow, and messages about what the user must check or complete
 * @see https://docs.port.io/workflows/build-workflows/nodes/overview/
 */
export function toPortWorkflow(action: PortAction): { workflow: JsonObject; notes: string[] } {
  const { identifier, trigger, invocationMethod, ...about } = action
  const { title, icon, description, allowAnyoneToViewRuns, requiredApproval, publish, ...leftOut } = about
  const { actionCardButtonText, executeActionButtonText, ...others } = trigger
  const { type: _, userInputs: __, operation, blueprintIdentifier, ...rest } = others
  const needsApproval = Boolean(requiredApproval)
  const entity = entityInput(action)
  const { github, ...body } = object(invocationMethod.body)
  const settings = Object.entries(object(github))
  // Expressions of an action are invalid in a Port workflow.
  const computed = settings.filter(setting => setting.some(isComputed))
  const fixed = Object.fromEntries(settings.filter(setting => !computed.includes(setting)))
  const names = [...Object.keys(leftOut), ...Object.keys(rest)]
  const path = needsApproval ? ['trigger', 'approval', 'github'] : ['trigger', 'github']
  return {
    workflow: {
      // Port allows fewer characters in the identifier of a workflow than in the identifier of an action.
      identifier: [...identifier.replace(/[^\p{L}0-9@_:-]+/gu, '_')].slice(0, 60).join(''),
      ...given({ title, icon, description, allowAnyoneToViewRuns }),
      nodes: [
        {
          identifier: 'trigger',
          config: {
            type: 'SELF_SERVE_TRIGGER',
            userInputs: userInputs(action, entity),
            // In the menu of an entity, Port shows only workflows with a context.
            ...(entity && { contexts: [{ on: 'ENTITY', userInput: entity.name }] }),
            ...given({ actionCardButtonText, executeActionButtonText, published: publish }),
          },
        },
        ...(needsApproval ? [APPROVAL] : []),
        {
          identifier: 'github',
          title: 'Run on GitHub',
          config: webhook(action, fixed, entity?.name ?? null),
        },
      ],
      connections: path.slice(1).map((target, index) => ({
        sourceIdentifier: path[index]!,
        targetIdentifier: target,
        ...(path[index] === 'approval' && { sourceOutletIdentifier: 'approve' }),
      })),
    },
    notes: [
      needsApproval && 'Specify who approves: add "responders" to the node "approval".',
      entity && `The form asks for the ${blueprintIdentifier} in the input ${entity.name}.`,
      !isDeepStrictEqual(body, RECOMMENDED_BODY) &&
        'The body of the action was replaced, because its expressions are invalid in a workflow: the node sends every input of the form.',
      computed.length > 0 &&
        `Removed from "github" in the body, because an expression of an action is invalid there: ${computed.map(([name]) => name).join(', ')}. Set fixed text.`,
      names.length > 0 && `Removed, because a Port workflow has no such setting: ${names.join(', ')}.`,
    ].filter(note => typeof note === 'string'),
  }
}

/** Returns a form input for the entity, because a Port workflow can't operate on an entity as an action can. */
function entityInput(action: PortAction): { name: string; property: Property } | null {
  const { operation, blueprintIdentifier: blueprint } = action.trigger
  if (operation !== 'DAY-2' && operation !== 'DELETE') return null
  if (typeof blueprint !== 'string') return null
  let name = 'entity'
  while (Object.hasOwn(formOf(action).properties, name)) name = `port_${name}`
  return { name, property: { type: 'string', title: 'Entity', format: 'entity', blueprint } }
}

function userInputs(action: PortAction, entity: ReturnType<typeof entityInput>): JsonObject {
  const { properties, required, order, ...others } = formOf(action)
  if (!entity) return { properties, ...given({ required, order }), ...others }
  const { name, property } = entity
  return {
    properties: { [name]: property, ...properties },
    // If `required` is a query, Port determines the required inputs when a user opens the form.
    required: isObject(required) ? required : [name, ...(Array.isArray(required) ? required : [])],
    ...(Array.isArray(order) && { order: [name, ...order] }),
    ...others,
  }
}

export const isComputed = (value: unknown) => typeof value === 'string' && value.includes('{{')

/** The node for approvals. A declined run finishes at this node, because the outcome "declined" has no connection. */
const APPROVAL: JsonObject = {
  identifier: 'approval',
  title: 'Approval',
  config: {
    type: 'INPUT',
    userInputs: {
      properties: { reason: { type: 'string', title: 'Reason' } },
      buttons: [
        { identifier: 'approve', label: 'Approve', variant: 'PRIMARY' },
        { identifier: 'decline', label: 'Decline', variant: 'DANGER' },
      ],
    },
    outlets: [
      { evaluationMethod: 'button', identifier: 'approve', title: 'Approve', numOfResponders: 1 },
      { evaluationMethod: 'button', identifier: 'decline', title: 'Decline', numOfResponders: 1 },
    ],
  },
}

/** `.outputs.trigger` contains the form's values. @see https://docs.port.io/workflows/build-workflows/data-flow/ */
function webhook(action: PortAction, github: JsonObject, entity: string | null): JsonObject {
  const { identifier, trigger, invocationMethod } = action
  const { operation, blueprintIdentifier: blueprint } = trigger
  const { properties } = formOf(action)
  const { body: _, headers: __, ...method } = invocationMethod
  const encrypted = Object.keys(properties).filter(name => properties[name]!.encryption !== undefined)
  const user = (field: string) => `{{ .workflowRun.trigger.by.${field} }}`
  return {
    ...method,
    body: {
      ...(Object.keys(github).length > 0 && { github }),
      run: { id: '{{ .workflowNodeRun.identifier }}' },
      workflowRun: { identifier: '{{ .workflowRun.identifier }}' },
      action: { identifier, ...given({ blueprint }), encryptedProperties: encrypted },
      inputs: entity ? `{{ .outputs.trigger | del(.${entity}) }}` : '{{ .outputs.trigger }}',
      ...(entity && { entity: `{{ .outputs.trigger.${entity} }}` }),
      trigger: {
        ...given({ operation }),
        at: '{{ .workflowRun.createdAt }}',
        by: { user: { email: user('email'), firstName: user('firstName'), lastName: user('lastName') } },
      },
    },
  }
}
