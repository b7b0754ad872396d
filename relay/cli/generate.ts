import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parse } from 'yaml'
import { parseJson, trimEnd } from '../../port/text.ts'
import type { Json } from '../../port/types.ts'
import { EXAMPLE_RELAY, invocationMethod, readStart } from '../../tools/generate/invocation-method.ts'
import {
  isPortAction,
  type PortAction,
  readPortAction,
  writePortAction,
} from '../../tools/generate/port-action.ts'
import { terraform } from '../../tools/generate/terraform.ts'
import { type ToActionOptions, toAction } from '../../tools/generate/to-action.ts'
import { toWorkflow } from '../../tools/generate/to-workflow.ts'
import { isRepository } from '../config/routes.ts'
import { defineCommand, UsageError } from './command.ts'

const FORMATS = ['json', 'terraform', 'workflow'] as const
type Format = (typeof FORMATS)[number]

interface Generated {
  /** What the file may be called. */
  file: string
  format: Format
  content: string
  /** Sentences on what to look at. */
  notes: string[]
}

export const generate = defineCommand({
  name: 'generate',
  summary: 'Makes the Port action from a workflow, or the workflow from a Port action.',
  positionals: ['FILE'],
  options: {
    format: {
      type: 'string',
      value: 'FORMAT',
      help: 'json or terraform for the action, workflow; the other of FILE',
    },
    relay: {
      type: 'string',
      value: 'URL',
      help: "the relay's address in the action; RELAY_PUBLIC_URL by default",
    },
    repository: {
      type: 'string',
      value: 'OWNER/NAME',
      help: 'the repository in the address; GITHUB_REPOSITORY',
    },
    event: { type: 'string', value: 'EVENT', help: 'workflow_dispatch or repository_dispatch' },
    identifier: {
      type: 'string',
      value: 'NAME',
      help: "the action's identifier, or which of several in FILE",
    },
    blueprint: { type: 'string', value: 'NAME', help: "the action's blueprint" },
    operation: { type: 'string', value: 'NAME', help: 'CREATE, DAY-2 or DELETE' },
    oidc: { type: 'boolean', help: 'the workflow reaches Port through the relay, without a secret of Port' },
    output: {
      type: 'string',
      value: 'PATH',
      help: 'write this file, which must not exist, in place of stdout',
    },
    json: { type: 'boolean', help: 'print JSON: file, format, content and notes' },
  },
  details: [
    'FILE is a workflow (YAML), or a Port action (JSON) as the API and the UI of Port give it; - is stdin. What GitHub',
    'cannot express is in comments of the workflow (# port-action, # port-input), which the way back reads.',
  ].join('\n'),
  async run({ env, values, positionals: [file], print, note }) {
    if (!file) throw new UsageError('Name the file: generate FILE, a workflow or a Port action.')
    const options = {
      format: oneOf('format', FORMATS, values.format),
      event: oneOf('event', ['workflow_dispatch', 'repository_dispatch'] as const, values.event),
      operation: oneOf('operation', ['CREATE', 'DAY-2', 'DELETE'] as const, values.operation),
      relay: relayOf(values.relay ?? (env.RELAY_PUBLIC_URL || undefined)),
      repository: repositoryOf(values.repository ?? (env.GITHUB_REPOSITORY || undefined)),
      identifier: values.identifier,
      blueprint: values.blueprint,
      oidc: values.oidc,
    }
    const made = make(read(file), file, options)
    if (values.output !== undefined) write(values.output, made.content)
    if (values.json) return void print(JSON.stringify(made))
    for (const sentence of made.notes) note(sentence)
    print(values.output === undefined ? made.content.replace(/\n$/, '') : `Written: ${values.output}`)
  },
})

type Options = ToActionOptions & { format?: Format | undefined; oidc?: boolean | undefined }

function make(text: string, file: string, options: Options): Generated {
  const value = parsed(text)
  if (isPortAction(value)) {
    const { action, notes } = adapt(readPortAction(value, options.identifier), options)
    if (options.format === 'json' || options.format === 'terraform')
      return written(action, options.format, notes)
    const workflow = toWorkflow(action, options)
    return { file: `.github/workflows/${workflow.file}`, format: 'workflow', content: workflow.yaml, notes }
  }
  if (options.format === 'workflow')
    throw new UsageError(`${file} is a workflow already: --format json or terraform.`)
  const name = file === '-' ? 'workflow.yml' : basename(file)
  const { action, notes } = toAction(text, name, options)
  return written(action, options.format ?? 'json', notes)
}

/** An action of another backend gets a webhook to the relay, and each what the options name. */
function adapt(action: PortAction, options: Options): { action: PortAction; notes: string[] } {
  const { invocationMethod: method } = action
  const start = readStart(action)
  const event = options.event ?? start.event
  const stays = method.type === 'WEBHOOK' && event === start.event && !options.relay && !options.repository
  const name = event === start.event ? start.name : null
  const ofWorkflow =
    event === 'workflow_dispatch' ? `${action.identifier.replace(/[^\w.-]+/g, '_')}.yml` : null
  const target = { event, name: name ?? ofWorkflow, repository: options.repository ?? start.repository }
  const made = invocationMethod(options.relay ?? EXAMPLE_RELAY, target)
  const changed = method.type === 'WEBHOOK' ? { ...method, url: made.url! } : made
  return {
    action: {
      ...action,
      trigger: {
        ...action.trigger,
        ...(options.operation && { operation: options.operation }),
        ...(options.blueprint && { blueprintIdentifier: options.blueprint }),
      },
      invocationMethod: stays ? method : changed,
    },
    notes: stays || options.format ? [] : [`Change the action's backend in Port to the webhook ${made.url}.`],
  }
}

function written(action: PortAction, format: 'json' | 'terraform', notes: string[]): Generated {
  const name = action.identifier.replace(/[^\w.-]+/g, '_')
  if (format === 'json') {
    const content = `${JSON.stringify(writePortAction(action), null, 2)}\n`
    return { file: `${name}.json`, format, content, notes }
  }
  const { hcl, leftOut } = terraform(action)
  return { file: `${name}.tf`, format, content: hcl, notes: [...notes, ...leftOut] }
}

function parsed(text: string): Json {
  try {
    return parseJson(text) ?? (parse(text) as Json)
  } catch {
    // The workflow's reader names the place.
    return null
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/^\ufeff/, '')
  } catch (cause) {
    throw new Error(`${file} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause })
  }
}

function write(path: string, content: string): void {
  try {
    writeFileSync(path, content, { flag: 'wx' })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why =
      code === 'EEXIST' ? 'already exists: remove it, or choose another name' : `cannot be written (${code})`
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
