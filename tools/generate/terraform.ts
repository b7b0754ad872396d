import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import { type Hcl, JsonEncode, writeHcl } from './hcl.ts'
import type { PortAction, Property } from './port-action.ts'

type Attributes = { [name: string]: Hcl }

/**
 * A Port action as the resource `port_action` of the Terraform provider port-labs/port-labs.
 *
 * @returns the resource, and a sentence for each thing that the provider cannot express
 * @see https://registry.terraform.io/providers/port-labs/port-labs/latest/docs/resources/port_action
 */
export function terraform(action: PortAction): { hcl: string; leftOut: string[] } {
  const leftOut: string[] = []
  const drop = (what: string) =>
    leftOut.push(`${what} is not in the Terraform provider's schema and is left out.`)
  const {
    title,
    icon,
    description,
    requiredApproval,
    approvalNotification,
    publish,
    allowAnyoneToViewRuns,
    ...other
  } = action.about
  for (const name of Object.keys(other)) drop(`"${name}"`)
  const attributes: Attributes = {
    identifier: action.identifier,
    ...texts({ title, icon, description }),
    ...(action.trigger.type === 'automation'
      ? automation(action.trigger, drop)
      : { self_service_trigger: selfService(action, drop) }),
    webhook_method: webhook(action.invocationMethod, drop),
    ...approval(requiredApproval, approvalNotification),
    ...(typeof publish === 'boolean' && { publish }),
    ...(typeof allowAnyoneToViewRuns === 'boolean' && { allow_anyone_to_view_runs: allowAnyoneToViewRuns }),
  }
  const name = action.identifier.replace(/[^A-Za-z0-9_-]+/g, '_').replace(/^(?![A-Za-z_])/, '_')
  return { hcl: `resource "port_action" "${name}" ${writeHcl(attributes)}\n`, leftOut }
}

function selfService(
  { trigger, properties, userInputs }: PortAction,
  drop: (what: string) => void,
): Attributes {
  const {
    type: _,
    operation,
    blueprintIdentifier,
    condition,
    actionCardButtonText,
    executeActionButtonText,
    ...other
  } = trigger
  const { required, order, steps, titles, ...more } = userInputs ?? {}
  for (const name of [...Object.keys(other), ...Object.keys(more)]) drop(`"${name}" of the trigger`)
  const isRequired = (name: string) => Array.isArray(required) && required.includes(name)
  const user: { [kind: string]: Attributes } = {}
  for (const [name, property] of Object.entries(properties)) {
    const kind = Object.hasOwn(KINDS, property.type) ? KINDS[property.type] : undefined
    if (!kind) {
      drop(`The input ${name} of type ${property.type}`)
      continue
    }
    user[`${property.type}_props`] ??= {}
    user[`${property.type}_props`]![name] = {
      ...propertyAttributes(property, kind, what => drop(`${what} of the input ${name}`)),
      ...(isRequired(name) && { required: true }),
    }
  }
  return {
    operation: String(operation ?? 'CREATE'),
    ...texts({ blueprint_identifier: blueprintIdentifier }),
    ...(Object.keys(user).length > 0 && { user_properties: user }),
    ...(isObject(required) &&
      typeof required.jqQuery === 'string' && { required_jq_query: required.jqQuery }),
    // The provider takes one of the two.
    ...(Array.isArray(order) &&
      !Array.isArray(steps) &&
      order.length > 0 && { order_properties: order.map(String) }),
    ...(Array.isArray(steps) && { steps: steps.filter(isObject).map(step) }),
    ...(isObject(titles) && {
      titles: Object.fromEntries(Object.entries(titles).map(([name, each]) => [name, titled(each)])),
    }),
    ...(condition !== undefined && { condition: new JsonEncode(condition) }),
    ...texts({
      action_card_button_text: actionCardButtonText,
      execute_action_button_text: executeActionButtonText,
    }),
  }
}

const step = ({ title, order, visible }: JsonObject): Attributes => ({
  title: String(title ?? ''),
  order: Array.isArray(order) ? order.map(String) : [],
  ...valueOrQuery('visible', visible),
})

function titled(value: Json): Attributes {
  const { title, description, visible } = isObject(value) ? value : {}
  return { title: String(title ?? ''), ...texts({ description }), ...valueOrQuery('visible', visible) }
}

/** How a key of a property becomes attributes; a key that stands in none of these is left out. */
type Rule = (value: Json, property: Property) => Attributes | null

const as =
  (name: string): Rule =>
  value =>
    isObject(value) ? null : { [name]: value as Hcl }
const orQuery =
  (name: string): Rule =>
  value => {
    const attributes = valueOrQuery(name, value)
    return Object.keys(attributes).length > 0 ? attributes : null
  }

const COMMON: Record<string, Rule> = {
  type: () => ({}),
  title: as('title'),
  icon: as('icon'),
  description: as('description'),
  dependsOn: as('depends_on'),
  visible: orQuery('visible'),
  disabled: orQuery('disabled'),
  default: orQuery('default'),
}
const encryption: Rule = (value): Attributes | null => {
  if (typeof value === 'string') return { encryption: value }
  if (!isObject(value) || typeof value.algorithm !== 'string' || typeof value.key !== 'string') return null
  return { client_side_encryption: { algorithm: value.algorithm, key: value.key } }
}
const sort: Rule = value =>
  isObject(value) ? { sort: texts({ property: value.property, order: value.order }) } : null

const KINDS: Record<string, Record<string, Rule>> = {
  string: {
    ...COMMON,
    format: as('format'),
    blueprint: as('blueprint'),
    minLength: as('min_length'),
    maxLength: as('max_length'),
    pattern: orQuery('pattern'),
    enum: orQuery('enum'),
    enumColors: value => ({ enum_colors: value as Hcl }),
    encryption,
    dataset: value => (isObject(value) ? { dataset: dataset(value) } : null),
    sort,
  },
  number: {
    ...COMMON,
    minimum: as('minimum'),
    maximum: as('maximum'),
    enum: orQuery('enum'),
    enumColors: value => ({ enum_colors: value as Hcl }),
  },
  boolean: COMMON,
  object: {
    ...COMMON,
    encryption,
    default: (value): Attributes =>
      isQuery(value) ? { default_jq_query: value.jqQuery } : { default: new JsonEncode(value) },
  },
  array: {
    ...COMMON,
    minItems: orQuery('min_items'),
    maxItems: orQuery('max_items'),
    sort,
    items: (value, property) => items(value, property.default),
    // A list of texts has its default beside its items; of other lists a query gives the same.
    default: (value, { items }): Attributes => {
      if (isQuery(value)) return { default_jq_query: value.jqQuery }
      return isObject(items) && items.type === 'string' ? {} : { default_jq_query: JSON.stringify(value) }
    },
  },
}

function propertyAttributes(
  property: Property,
  rules: Record<string, Rule>,
  drop: (what: string) => void,
): Attributes {
  const attributes: Attributes = {}
  for (const [key, value] of Object.entries(property)) {
    const made = Object.hasOwn(rules, key) ? rules[key]!(value, property) : null
    if (made) Object.assign(attributes, made)
    else drop(`"${key}"`)
  }
  return attributes
}

function items(value: Json, defaults: Json | undefined): Attributes | null {
  if (!isObject(value)) return null
  const { type, format, blueprint, enum: values, dataset, ...other } = value
  if (Object.keys(other).length > 0 || !['string', 'number', 'boolean', 'object'].includes(String(type)))
    return null
  const attributes: Attributes = {
    ...texts({ format, blueprint }),
    ...(values !== undefined && valueOrQuery('enum', values)),
    ...(dataset !== undefined && { dataset: new JsonEncode(dataset) }),
    ...(type === 'string' && Array.isArray(defaults) && { default: defaults.map(String) }),
  }
  return { [`${type}_items`]: attributes }
}

/** The provider takes a rule's value as a query alone; of a fixed one it is its JSON. */
function dataset({ combinator, rules, ...leaf }: JsonObject): Attributes {
  const { property, operator, blueprint, value } = leaf
  return {
    ...texts({ combinator, property, operator, blueprint }),
    ...(value !== undefined && {
      value: { jq_query: isQuery(value) ? value.jqQuery : JSON.stringify(value) },
    }),
    ...(Array.isArray(rules) && { rules: rules.filter(isObject).map(dataset) }),
  }
}

function automation(
  { type: _, event, condition, ...other }: JsonObject,
  drop: (what: string) => void,
): Attributes {
  for (const name of Object.keys(other)) drop(`"${name}" of the trigger`)
  const { type, blueprintIdentifier, propertyIdentifier, actionIdentifier, ...more } = isObject(event)
    ? event
    : {}
  for (const name of Object.keys(more)) drop(`"${name}" of the event`)
  const { expressions, combinator } = isObject(condition) ? condition : {}
  return {
    automation_trigger: {
      [`${String(type ?? '').toLowerCase()}_event`]: texts({
        blueprint_identifier: blueprintIdentifier,
        property_identifier: propertyIdentifier,
        action_identifier: actionIdentifier,
      }),
      ...(Array.isArray(expressions) && {
        jq_condition: { expressions: expressions.map(String), ...texts({ combinator }) },
      }),
    },
  }
}

function webhook(
  { type: _, url, agent, synchronized, method, headers, body, ...other }: JsonObject,
  drop: (what: string) => void,
): Attributes {
  for (const name of Object.keys(other)) drop(`"${name}" of the invocation method`)
  return {
    ...texts({ url }),
    // These two are texts there, since a query may stand in their place.
    ...(agent !== undefined && { agent: String(agent) }),
    ...(synchronized !== undefined && { synchronized: String(synchronized) }),
    ...texts({ method }),
    ...(isObject(headers) && { headers: headers as Hcl }),
    ...(body !== undefined && { body: new JsonEncode(body) }),
  }
}

function approval(required: Json | undefined, notification: Json | undefined): Attributes {
  const kind = isObject(required) ? required.type : required
  const { type, url, format } = isObject(notification) ? notification : {}
  return {
    ...(kind !== undefined && { required_approval: String(kind) }),
    ...(type === 'webhook' && { approval_webhook_notification: texts({ url, format }) }),
    ...(type === 'email' && { approval_email_notification: {} }),
  }
}

const isQuery = (value: Json): value is { jqQuery: string } =>
  isObject(value) && typeof value.jqQuery === 'string'

function valueOrQuery(name: string, value: Json | undefined): Attributes {
  if (value === undefined || value === null) return {}
  if (isQuery(value)) return { [`${name}_jq_query`]: value.jqQuery }
  return isObject(value) ? {} : { [name]: value as Hcl }
}

const texts = (values: Record<string, Json | undefined>): Attributes =>
  Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
