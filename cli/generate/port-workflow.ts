import { isDeepStrictEqual } from 'node:util'
import { isEmpty, object } from '../../port/invocation/values.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
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
  const { github, inputs, port_context, port_payload, ...body } = object(invocationMethod.body)
  const sent = {
    ...given({ github, port_context, port_payload }),
    inputs: inputs ?? RECOMMENDED_BODY.inputs!,
  }
  const carried = carry(sent, action, entity?.name ?? null)
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
            // With a context, Port shows the workflow in the entity's menu.
            ...(entity && { contexts: [{ on: 'ENTITY', userInput: entity.name }] }),
            ...given({ actionCardButtonText, executeActionButtonText, published: publish }),
          },
        },
        ...(needsApproval ? [APPROVAL] : []),
        {
          identifier: 'github',
          title: 'Run on GitHub',
          config: webhook(action, object(carried.value), entity?.name ?? null),
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
      !isDeepStrictEqual({ ...body, inputs: RECOMMENDED_BODY.inputs }, RECOMMENDED_BODY) &&
        'The body of the action was replaced, because its expressions are invalid in a workflow: the node sends the inputs, port_context, and port_payload.',
      ...carried.lost.map(
        ({ at, expression }) =>
          `The node doesn't send ${at}, because {{ ${expression} }} can't be read in a Port workflow: set fixed text, or add an input to the form.`,
      ),
      carried.ofEntity.length > 0 &&
        `Check ${carried.ofEntity.join(', ')}: Port may send only the identifier of an entity to a node, and no other field.`,
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

interface Carried {
  value: Json | undefined
  /** The values that a node can't send, with their places in the body. */
  lost: { at: string; expression: string }[]
  /** The places with an entity, or with fields of an entity other than the identifier. */
  ofEntity: string[]
}

const withoutBraces = (text: string) => text.replace(/^\{\{/, '').replace(/\}\}$/, '').trim()

const EXPRESSION = /\{\{([^{}]*)\}\}/g

/** Port's editor writes `.inputs."name"`. Without quotes, jq reads `.a-b` as a difference. */
const withoutQuotes = (path: string) => path.replace(/\."([\w@=-]+)"|\.?\["([\w@=-]+)"\]/g, '.$1$2')
const quoteKeys = (path: string) => path.replace(/\.(\w*[@=-][\w@=-]*)/g, '."$1"')

/** Rewrites the expressions of an action as expressions of a node. Omits what a node can't send. */
function carry(template: Json, action: PortAction, entity: string | null): Carried {
  const { properties } = formOf(action)
  const isEntity = (input: string) => input === entity || properties[input]?.format === 'entity'
  const known: Record<string, string> = {
    '.run.id': '.workflowNodeRun.identifier',
    '.trigger.at': '.workflowRun.createdAt',
    '.inputs': `.outputs.trigger${entity ? ` | del(.${entity})` : ''}`,
  }
  const fixed: Record<string, Json | undefined> = {
    '.action.identifier': action.identifier,
    '.action.blueprint': action.trigger.blueprintIdentifier,
    '.trigger.operation': action.trigger.operation,
  }
  const lost: Carried['lost'] = []
  const ofEntity = new Set<string>()

  /** Port sends an entity to a node as its identifier or as an object. */
  const field = (input: string, path: string, at: string): string => {
    const [value, inside] = [`.outputs.trigger.${input}`, path].map(quoteKeys)
    const isIdentifier = path === '.identifier'
    if (isEntity(input) && !isIdentifier) ofEntity.add(at)
    if (path === '' || !isEntity(input)) return `${value}${inside}`
    return `${value} | if type == "object" then ${inside} else ${isIdentifier ? '.' : 'null'} end`
  }
  const rewrite = (expression: string, at: string): string | null => {
    if (Object.hasOwn(known, expression)) return known[expression]!
    const [, user] = /^\.trigger\.by\.user((?:\.\w+)+)$/.exec(expression) ?? []
    if (user) return `.workflowRun.trigger.by${user}`
    const [, input, path] = /^\.inputs\.([\w@=-]+)((?:\.[\w@=-]+)*)$/.exec(expression) ?? []
    if (input) return field(input, path!, at)
    const [, ofForm] = /^\.entity((?:\.[\w@=-]+)*)$/.exec(expression) ?? []
    return ofForm !== undefined && entity ? field(entity, ofForm, at) : null
  }
  const rewriteText = (text: string, at: string): string | undefined => {
    const before = lost.length
    const rewritten = text.replace(EXPRESSION, (_, given: string) => {
      const expression = given.trim()
      const path = withoutQuotes(expression)
      if (Object.hasOwn(fixed, path)) return String(fixed[path] ?? '')
      const found = rewrite(path, at)
      if (found === null) lost.push({ at, expression })
      return `{{ ${found} }}`
    })
    // An expression that contains braces wasn't rewritten, so it is lost.
    if (rewritten.replace(EXPRESSION, '').includes('{{')) lost.push({ at, expression: withoutBraces(text) })
    return lost.length > before ? undefined : rewritten
  }
  const visit = (value: Json, at: string): Json | undefined => {
    if (typeof value === 'string')
      return /^\{\{ *\.trigger *\}\}$/.test(value) ? triggerOf(action) : rewriteText(value, at)
    if (Array.isArray(value)) return value.flatMap((each, index) => visit(each, `${at}[${index}]`) ?? [])
    if (!isObject(value)) return value
    const entries = Object.entries(value).flatMap(([key, inner]) => {
      const place = at === '' ? key : `${at}.${key}`
      const isPlain = !isComputed(key) || /^\{\{\s*spreadValue\(\)\s*\}\}$/.test(key)
      if (!isPlain) lost.push({ at: place, expression: withoutBraces(key) })
      const made = isPlain ? visit(inner, place) : undefined
      return made === undefined ? [] : [[key, made] as const]
    })
    return Object.fromEntries(entries)
  }
  return { value: visit(template, ''), lost, ofEntity: [...ofEntity] }
}

export const isComputed = (value: unknown) => typeof value === 'string' && value.includes('{{')

/** The node for approvals. The outcome "declined" has no connection, so a declined run finishes at this node. */
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

/** Returns Port's `.trigger`, composed of values that a node can read. */
const triggerOf = ({ trigger: { operation } }: PortAction): JsonObject => {
  const user = (field: string) => `{{ .workflowRun.trigger.by.${field} }}`
  const by = { user: { email: user('email'), firstName: user('firstName'), lastName: user('lastName') } }
  return { ...given({ operation }), at: '{{ .workflowRun.createdAt }}', by }
}

/** `.outputs.trigger` contains the form's values. @see https://docs.port.io/workflows/build-workflows/data-flow/ */
function webhook(action: PortAction, { github, ...sent }: JsonObject, entity: string | null): JsonObject {
  const { identifier, trigger, invocationMethod } = action
  const { blueprintIdentifier: blueprint } = trigger
  const { properties } = formOf(action)
  const { body: _, headers: __, ...method } = invocationMethod
  const encrypted = Object.keys(properties).filter(name => properties[name]!.encryption !== undefined)
  return {
    ...method,
    // If the relay's response is late, the node still waits for the result, because the relay may have received the webhook.
    onTimeout: 'continue',
    body: {
      ...(isObject(github) && !isEmpty(github) && { github }),
      run: { id: '{{ .workflowNodeRun.identifier }}' },
      workflowRun: { identifier: '{{ .workflowRun.identifier }}' },
      action: { identifier, ...given({ blueprint }), encryptedProperties: encrypted },
      ...sent,
      ...(entity && { entity: `{{ .outputs.trigger.${entity} }}` }),
      trigger: triggerOf(action),
    },
  }
}
