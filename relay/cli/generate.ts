import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parse } from 'yaml'
import { isEmpty } from '../../port/invocation/values.ts'
import { parseJson, trimEnd } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import {
  bodyOfGitHub,
  EXAMPLE_RELAY,
  readStart,
  relayMethod,
} from '../../tools/generate/invocation-method.ts'
import type { PortAction } from '../../tools/generate/port-action.ts'
import { isPortAction, readPortAction, writePortAction } from '../../tools/generate/port-action.ts'
import { toPortWorkflow } from '../../tools/generate/port-workflow.ts'
import { type ToActionOptions, toAction } from '../../tools/generate/to-action.ts'
import { toWorkflow } from '../../tools/generate/to-workflow.ts'
import { isRepository } from '../config/routes.ts'
import { defineCommand, UsageError } from './command.ts'

const FORMATS = ['json', 'port-workflow', 'workflow'] as const
type Format = (typeof FORMATS)[number]

interface Generated {
  /** Base name for the generated file. */
  file: string
  format: Format
  content: string
  /** Notes on what to check or complete. */
  notes: string[]
}

export const generate = defineCommand({
  name: 'generate',
  summary: 'Generates the Port action for a workflow, or the workflow for a Port action.',
  positionals: ['FILE'],
  options: {
    format: {
      type: 'string',
      value: 'FORMAT',
      help: 'json (a Port action), port-workflow, or workflow (on GitHub)',
    },
    approval: { type: 'boolean', help: 'the run waits for an approval in Port' },
    relay: {
      type: 'string',
      value: 'URL',
      help: "the relay's address in the action; RELAY_PUBLIC_URL by default",
    },
    repository: {
      type: 'string',
      value: 'OWNER/NAME',
      help: "the repository in the address; by default the action's repository, or else GITHUB_REPOSITORY",
    },
    event: { type: 'string', value: 'EVENT', help: 'workflow_dispatch or repository_dispatch' },
    identifier: {
      type: 'string',
      value: 'NAME',
      help: "the action's identifier; selects an action if FILE has several",
    },
    blueprint: { type: 'string', value: 'NAME', help: "the action's blueprint" },
    operation: { type: 'string', value: 'NAME', help: 'CREATE, DAY-2 or DELETE' },
    'client-secret': {
      type: 'boolean',
      help: "the workflow reports with Port's client id and secret, not through the relay",
    },
    output: {
      type: 'string',
      value: 'PATH',
      help: 'write to this new file instead of stdout',
    },
    json: { type: 'boolean', help: 'print JSON: file, format, content and notes' },
  },
  details: [
    'FILE is a workflow (YAML), or a Port action (JSON) as exported from Port; - is stdin. The parts of an action that',
    "GitHub can't express are in comments of the workflow (# port-action, # port-input), and generate reads them again.",
  ].join('\n'),
  async run({ env, values, positionals: [file], print, note }) {
    if (!file) throw new UsageError('Specify a file with a workflow or a Port action: generate FILE.')
    const options = {
      format: oneOf('format', FORMATS, values.format),
      event: oneOf('event', ['workflow_dispatch', 'repository_dispatch'] as const, values.event),
      operation: oneOf('operation', ['CREATE', 'DAY-2', 'DELETE'] as const, values.operation),
      relay: relayOf(values.relay ?? (env.RELAY_PUBLIC_URL || undefined)),
      repository: repositoryOf(values.repository),
      here: repositoryOf(env.GITHUB_REPOSITORY || undefined),
      identifier: values.identifier,
      blueprint: values.blueprint,
      approval: values.approval,
      clientSecret: values['client-secret'],
    }
    const made = make(read(file), file, options)
    if (values.output !== undefined) write(values.output, made.content)
    if (values.json) return void print(JSON.stringify(made))
    for (const sentence of made.notes) note(sentence)
    print(values.output === undefined ? made.content.replace(/\n$/, '') : `Written: ${values.output}`)
  },
})

interface Options extends ToActionOptions {
  /** The repository in which the command runs, for actions that don't name one. */
  here?: string | undefined
  format?: Format | undefined
  approval?: boolean | undefined
  clientSecret?: boolean | undefined
}

function make(text: string, file: string, options: Options): Generated {
  const value = parsed(text)
  const isAction = isPortAction(value)
  const format = options.format ?? (isAction ? 'workflow' : 'json')
  if (!isAction && format === 'workflow')
    throw new UsageError(`${file} is already a workflow: use --format json or port-workflow.`)
  const name = file === '-' ? 'workflow.yml' : basename(file)
  const { action, notes } = isAction
    ? adapt(readPortAction(value, options.identifier), format, options)
    : toAction(text, name, { ...options, repository: options.repository ?? options.here })
  if (options.approval) action.about.requiredApproval = true
  return written(action, format, notes, options)
}

/** Changes a Port action's backend to the relay, with values from the options. */
function adapt(
  action: PortAction,
  format: Format,
  options: Options,
): { action: PortAction; notes: string[] } {
  const { invocationMethod: old, identifier } = action
  const start = readStart(action)
  const event = options.event ?? start.event
  // If the old backend's workflow is kept, keep its inputs. A new workflow gets the inputs as the user entered them.
  const { github, ...body } = (format !== 'workflow' && bodyOfGitHub(old)) || {}
  const isDispatch = event === 'workflow_dispatch'
  const computed: JsonObject = isObject(github) && isDispatch ? github : {}
  const file = isDispatch && !computed.workflow ? `${identifier.replace(/[^\w.-]+/g, '_')}.yml` : null
  const isSame = event === start.event
  const kept = isSame ? start : { ...start, name: null, ref: null }
  const target = { ...kept, event, name: kept.name ?? file }
  const isNamed = start.repository !== null || computed.repository !== undefined
  const repository = options.repository ?? (isNamed ? undefined : options.here)
  // A target in the body would take precedence over the target in the URL.
  if (repository !== undefined) delete computed.repository
  const { method, notes } = relayMethod(old, target, {
    relay: options.relay,
    repository,
    event: isSame ? undefined : event,
  })
  const isChanged = old.type !== 'WEBHOOK' || old.url !== method.url || notes.length > 0
  if (String(method.url).startsWith(EXAMPLE_RELAY) && old.url !== method.url)
    notes.unshift(`Replace ${EXAMPLE_RELAY} with the address of your relay, or pass --relay.`)
  if (format === 'workflow' && isChanged)
    notes.unshift(
      `Change the action's backend in Port to the webhook ${method.url}: --format json prints it.`,
    )
  if (format === 'port-workflow' && !isEmpty(body))
    notes.push(
      `The ${isEmpty(computed) ? 'inputs' : 'inputs and the target'} of the old backend were omitted: set them in the webhook's body.`,
    )
  return {
    action: {
      ...action,
      trigger: {
        ...action.trigger,
        ...(options.operation && { operation: options.operation }),
        ...(options.blueprint && { blueprintIdentifier: options.blueprint }),
      },
      invocationMethod:
        isEmpty(body) || format !== 'json'
          ? method
          : { ...method, body: { ...body, ...(!isEmpty(computed) && { github: computed }) } },
    },
    notes,
  }
}

function written(action: PortAction, format: Format, notes: string[], options: Options): Generated {
  const name = action.identifier.replace(/[^\w.-]+/g, '_')
  if (format === 'workflow') {
    const { file, yaml } = toWorkflow(action, options)
    return { file: `.github/workflows/${file}`, format, content: yaml, notes }
  }
  const made = format === 'port-workflow' ? toPortWorkflow(action) : { workflow: null, notes: [] }
  const content = `${JSON.stringify(made.workflow ?? writePortAction(action), null, 2)}\n`
  return { file: `${name}.json`, format, content, notes: [...notes, ...made.notes] }
}

function parsed(text: string): Json {
  try {
    return parseJson(text) ?? (parse(text) as Json)
  } catch {
    // The workflow reader's error names the location.
    return null
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/^\ufeff/, '')
  } catch (cause) {
    throw new Error(`${file} can't be read (${(cause as NodeJS.ErrnoException).code}).`, { cause })
  }
}

function write(path: string, content: string): void {
  try {
    writeFileSync(path, content, { flag: 'wx' })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why =
      code === 'EEXIST' ? 'already exists: remove it, or choose another name' : `can't be written (${code})`
    throw new Error(`${path} ${why}.`, { cause })
  }
}

function oneOf<T extends string>(
  name: string,
  allowed: readonly T[],
  given: string | undefined,
): T | undefined {
  if (given === undefined) return undefined
  const found = allowed.find(each => each === given)
  if (!found) throw new UsageError(`--${name} must be one of ${allowed.join(', ')}.`)
  return found
}

export function relayOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  const url = /^https?:\/\//i.test(given) ? URL.parse(given) : null
  if (!url || url.search || url.hash)
    throw new UsageError(`--relay ${JSON.stringify(given)} must be an http(s) URL.`)
  return trimEnd(url.href, '/').replace(/\/webhook$/, '')
}

function repositoryOf(given: string | undefined): string | undefined {
  if (given !== undefined && !isRepository(given)) throw new UsageError('--repository must be OWNER/NAME.')
  return given
}
