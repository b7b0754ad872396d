import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadParser, onOneLine } from './parser.ts'
import { readSteps, type WorkflowStep } from './read-workflow.ts'
import { Place, refuse, refuseOtherKeys, type Template, toTemplate } from './template.ts'

type Mapping = { [key: string]: Template }

export type Action = {
  directory: string
  /** Defaults by input name; an empty text for an input without a default. */
  inputs: Record<string, { default: Template; deprecation: string | null }>
  runs:
    | {
        using: 'node24'
        main: string
        pre: string | null
        preIf: string
        post: string | null
        postIf: string
      }
    | { using: 'composite'; steps: WorkflowStep[]; outputs: Mapping }
}

/** Reads a directory's `action.yml` with GitHub's parser. Refuses files that don't parse or can't be simulated. */
const known = new Map<string, Promise<Action>>()

export async function readAction(directory: string): Promise<Action> {
  const name = join(directory, 'action.yml')
  const content = await readFile(name, 'utf8')
  const key = `${name}\n${content}`
  if (!known.has(key)) known.set(key, read(directory, name, content))
  return await known.get(key)!
}

async function read(directory: string, name: string, content: string): Promise<Action> {
  const { errors } = await parseAction(content)
  if (errors.length > 0) throw new Error(`GitHub's parser refuses ${name}:\n${errors.join('\n')}`)
  const { value, converted } = await parseAction(onOneLine(content))
  const file = new Place(name, content)
  const raw = toTemplate(value!, file) as { [key: string]: Mapping }
  const inputs = Object.entries(raw.inputs ?? {}).map(([key, input]) => {
    const { default: fallback, deprecationMessage } = input as Mapping
    return [
      key,
      { default: fallback ?? null, deprecation: (deprecationMessage as string | undefined) ?? null },
    ]
  })
  const { runs } = converted!
  if (runs.using === 'composite') {
    refuseOtherKeys(raw.runs ?? {}, ['using', 'steps'], 'runs of action.yml')
    const outputs = Object.entries(raw.outputs ?? {}).map(([key, output]) => [
      key,
      (output as Mapping).value ?? '',
    ])
    const steps = readSteps(
      runs.steps,
      (raw.runs?.steps ?? []) as Mapping[],
      file.inside('runs').inside('steps'),
      name,
    )
    return {
      directory,
      inputs: Object.fromEntries(inputs),
      runs: { using: 'composite', steps, outputs: Object.fromEntries(outputs) },
    }
  }
  if (runs.using !== 'node24') return refuse(`runs.using: ${runs.using} in ${name}`)
  refuseOtherKeys(raw.runs ?? {}, ['using', 'main', 'pre', 'pre-if', 'post', 'post-if'], 'runs of action.yml')
  return {
    directory,
    inputs: Object.fromEntries(inputs),
    runs: {
      using: 'node24',
      main: runs.main,
      pre: runs.pre ?? null,
      preIf: runs.preIf ?? 'always()',
      post: runs.post ?? null,
      postIf: runs.postIf ?? 'always()',
    },
  }
}

async function parseAction(content: string) {
  const parser = await loadParser()
  const file = { name: 'action.yml', content }
  const { context, value } = parser.parseAction(file, parser.trace)
  const converted = value && parser.convertAction(context, value)
  return { value, converted, errors: context.errors.getErrors().map(error => error.message) }
}
