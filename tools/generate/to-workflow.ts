import type { JsonObject } from '../../port/types.ts'
import { changes, oneLine, writeComment } from './comments.ts'
import type { GitHubInput } from './github-input.ts'
import { canBeGitHubInput, FIXED_OUTPUTS, fromGitHubInput, OFFERED, toGitHubInput } from './github-input.ts'
import { readStart, type Start } from './invocation-method.ts'
import type { PortAction, Property } from './port-action.ts'
import { toAction } from './to-action.ts'

/** GitHub accepts 25 inputs, including `port`. */
const MAX_INPUTS = 24

export interface ToWorkflowOptions {
  /** Default: the event that the Port action currently triggers. */
  event?: Start['event'] | undefined
  /** Reports to Port with its client id and secret instead of through the relay by OIDC. */
  clientSecret?: boolean | undefined
}

interface Input {
  name: string
  property: Property
  /** Null if a workflow can't declare the input. In that case, only the payload contains the input's value. */
  declared: GitHubInput | null
}

/**
 * Generates a starter workflow. The action is its first step, and provides the inputs as outputs.
 *
 * @returns the file's name and text; {@link toAction} converts them back to the same Port action
 */
export function toWorkflow(
  action: PortAction,
  options: ToWorkflowOptions = {},
): { file: string; yaml: string } {
  const start = readStart(action)
  const event = options.event ?? start.event
  const isFile = event === 'workflow_dispatch' && /^[\w.-]+\.ya?ml$/.test(start.name ?? '')
  const file = isFile ? start.name! : `${action.identifier.replace(/[^\w.-]+/g, '_')}.yml`
  const type = (start.event === 'repository_dispatch' && start.name) || action.identifier
  const inputs = listInputs(action, event)
  const write = (about: string[], comment: (input: Input) => string[]) =>
    [
      `# Runs when a user runs ${oneLine(titleOf(action))} in Port.`,
      ...about,
      `name: ${scalar(titleOf(action))}`,
      'on:',
      ...(event === 'workflow_dispatch'
        ? workflowDispatch(inputs, comment)
        : repositoryDispatch(inputs, comment, type)),
      ...rest(action, event, inputs, options.clientSecret ?? false),
    ].join('\n')

  // The Port action that the workflow describes without its comments. The comments contain the differences.
  const { action: base } = toAction(
    write([], () => []),
    file,
    { event },
  )
  const about = aboutComment(base, action)
  const comment = ({ name, property, declared }: Input) => {
    const difference = changes(declared ? base.properties[name]! : baseOfUndeclared(name), property)
    return declared && Object.keys(difference).length === 0
      ? []
      : [writeComment('port-input', Object.fromEntries([[name, difference]]))]
  }
  // Undeclared inputs have comments in the text too, because the inputs' order is read from the text.
  return { file, yaml: write(about, comment) }

  function aboutComment(base: PortAction, action: PortAction): string[] {
    const required = base.userInputs?.required ?? []
    const userInputs = action.userInputs
      ? changes({ required, order: inputs.map(({ name }) => name) }, action.userInputs)
      : null
    const difference: JsonObject = {
      ...changes({ identifier: base.identifier }, { identifier: action.identifier }),
      ...changes(base.about, action.about),
      ...nested('trigger', changes(base.trigger, action.trigger)),
      ...nested('userInputs', userInputs),
      ...nested('invocationMethod', changes(base.invocationMethod, action.invocationMethod)),
    }
    return Object.keys(difference).length > 0 ? [writeComment('port-action', difference)] : []
  }
}

const nested = (name: string, value: JsonObject | null): JsonObject =>
  value !== null && Object.keys(value).length === 0 ? {} : { [name]: value }

const baseOfUndeclared = (name: string): JsonObject => fromGitHubInput(name, {}).property

/** Returns inputs in Port's order, followed by the inputs that the order omits. */
function listInputs({ properties, userInputs }: PortAction, event: Start['event']): Input[] {
  const order = Array.isArray(userInputs?.order) ? userInputs.order.map(String) : []
  const known = order.filter(name => Object.hasOwn(properties, name))
  const required = Array.isArray(userInputs?.required) ? userInputs.required : []
  const reserved = ['port', ...OFFERED]
  const taken = new Set(reserved)
  return [...new Set([...known, ...Object.keys(properties)])].map(name => {
    const property = properties[name]!
    const possible =
      event === 'workflow_dispatch' &&
      // A user who starts the workflow on GitHub would enter the secret in plaintext.
      property.encryption === undefined &&
      taken.size - reserved.length < MAX_INPUTS &&
      canBeGitHubInput(name) &&
      !taken.has(name.toLowerCase())
    if (possible) taken.add(name.toLowerCase())
    return { name, property, declared: possible ? toGitHubInput(property, required.includes(name)) : null }
  })
}

function workflowDispatch(inputs: Input[], comment: (input: Input) => string[]): string[] {
  return [
    '  workflow_dispatch:',
    '    inputs:',
    ...inputs.flatMap(input => [
      ...comment(input).map(line => `      ${line}`),
      ...(input.declared ? declaration(input.name, input.declared) : []),
    ]),
    '      port:',
    '        description: The invocation in Port. The relay sets it; leave it empty on GitHub.',
    '        type: string',
  ]
}

function declaration(
  name: string,
  { description, type, required, default: value, options }: GitHubInput,
): string[] {
  return [
    `      ${scalar(name)}:`,
    ...(description === undefined ? [] : [`        description: ${scalar(description)}`]),
    `        type: ${type}`,
    ...(options ? [`        options: [${options.map(option => scalar(option, true)).join(', ')}]`] : []),
    ...(required ? ['        required: true'] : []),
    ...(value === undefined ? [] : [`        default: ${scalar(value)}`]),
  ]
}

function repositoryDispatch(inputs: Input[], comment: (input: Input) => string[], type: string): string[] {
  return [
    '  repository_dispatch:',
    ...inputs.flatMap(comment).map(line => `    ${line}`),
    `    types: [${scalar(type, true)}]`,
  ]
}

function rest(action: PortAction, event: Start['event'], inputs: Input[], clientSecret: boolean): string[] {
  const settings = clientSecret
    ? [
        'port-client-id: ${{ vars.PORT_CLIENT_ID }}',
        'port-client-secret: ${{ secrets.PORT_CLIENT_SECRET }}',
        "port-api-url: ${{ vars.PORT_API_URL || 'https://api.port.io' }}",
      ]
    : []
  const byHand = event === 'workflow_dispatch'
  return [
    byHand
      ? "run-name: ${{ github.workflow }} ${{ fromJSON(inputs.port || '{}').run_id }}"
      : 'run-name: ${{ github.event.client_payload.action }} ${{ github.event.client_payload.run_id }}',
    'permissions:',
    ...(clientSecret ? [] : ['  id-token: write # the relay identifies the workflow run by its OIDC token']),
    '  actions: read # the action shows the steps of this job in Port',
    'jobs:',
    '  run:',
    '    runs-on: ubuntu-latest',
    '    steps:',
    "      # Must be the first step, so that its post step runs last and gets the job's result.",
    ...(byHand ? ['      # Skipped if a user starts the workflow on GitHub.'] : []),
    '      - uses: org/port-webhook-action@v1',
    '        id: port',
    ...(byHand ? ['        if: ${{ inputs.port }}'] : []),
    ...(settings.length > 0 ? ['        with:', ...settings.map(line => `          ${line}`)] : []),
    '',
    `      # Your own steps follow. ${byHand ? "Pass Port's inputs" : 'The inputs are outputs of the first step: pass them'} to scripts through \`env\`.`,
    '      - name: Do the work',
    ...environment(action, inputs, byHand),
    '        run: |',
    `          echo "Replace this step with your own" | tee -a "${byHand ? '${PORT_LOG:-/dev/null}' : '$PORT_LOG'}"`,
    '',
  ]
}

function environment({ trigger }: PortAction, inputs: Input[], byHand: boolean): string[] {
  const variables = new Map<string, string>()
  if (trigger.operation === 'DAY-2' || trigger.operation === 'DELETE')
    variables.set('ENTITY', 'steps.port.outputs.entity-id')
  if (trigger.type === 'automation') variables.set('EVENT', 'steps.port.outputs.event')
  const taken = new Set(FIXED_OUTPUTS)
  for (const { name, property, declared } of inputs) {
    const base = `INPUT_${name.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`
    let variable = base
    for (let n = 2; variables.has(variable); n++) variable = `${base}_${n}`
    const isOutput = canBeGitHubInput(name) && !taken.has(name.toLowerCase())
    taken.add(name.toLowerCase())
    const output = isOutput ? `steps.port.outputs.${name}` : fromInputs(name, property, byHand)
    variables.set(variable, declared ? `inputs.${name}` : output)
  }
  if (variables.size === 0) return []
  return [
    '        env:',
    ...[...variables].map(([name, value]) => `          ${name}: ${scalar(`\${{ ${value} }}`)}`),
  ]
}

/** Reads an input from the output `inputs`, if no output can have the input's name. `byHand`: `inputs` may be empty. */
function fromInputs(name: string, { type }: Property, byHand: boolean): string {
  const all = `fromJSON(steps.port.outputs.inputs${byHand ? " || '{}'" : ''})`
  const value = `${all}['${name.replaceAll("'", "''")}']`
  return type === 'object' || type === 'array' ? `toJSON(${value})` : value
}

/** Removes expressions because GitHub would evaluate them. */
function titleOf({ about, identifier }: PortAction): string {
  const title = typeof about.title === 'string' && about.title.trim() !== '' ? about.title : identifier
  return title.replaceAll('${{', '{{')
}

/** Formats a value as YAML on one line. */
function scalar(value: string | number | boolean, inList = false): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  const isPlain = inList
    ? /^[A-Za-z][A-Za-z0-9_ ./()+-]*$/.test(value)
    : /^(?:[A-Za-z]|\$\{\{)/.test(value) && !/[#:\p{C}]|[^\P{Z} ]| {2}/u.test(value)
  const isWord = isPlain && !value.endsWith(' ') && !/^(?:y|n|yes|no|on|off|true|false|null)$/i.test(value)
  return isWord ? value : oneLine(value)
}
