import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createPortClient } from '../port/client/client.ts'
import { cleanLine } from '../port/text.ts'
import { readPortConfig } from '../relay/config/config.ts'
import { type Call, readInput, UsageError } from './command.ts'
import { apply, type Format, type Plan, plan } from './generate/apply.ts'
import { NotStartable, type ToActionOptions, toAction } from './generate/to-action.ts'

interface Outcome {
  file: string
  result: 'created' | 'updated' | 'unchanged' | 'differs' | 'refused' | 'skipped'
  /** Why the file was refused or skipped. */
  message?: string
  plan?: Plan
}

/**
 * Generates the action for a file. `rejection`: why GitHub's parser rejects the workflow, or null.
 * @throws Error if Port can't start the workflow
 */
export async function generateFile(file: string, options: ToActionOptions) {
  const yaml = readInput(file)
    .toString()
    .replace(/^\ufeff/, '')
  const name = file === '-' ? 'workflow.yml' : basename(file)
  const generated = toAction(yaml, name, options)
  // GitHub's parser is loaded here and not at the start, because loading it takes longer than starting the relay.
  const { parseWorkflow } = await import('../simulator/runner/parser.ts')
  const { errors } = await parseWorkflow(name, yaml)
  const rejection = errors.length > 0 ? `GitHub's parser rejects the workflow: ${errors.join('; ')}.` : null
  return { ...generated, rejection }
}

interface ApplyCall extends Pick<Call, 'env' | 'print' | 'note' | 'ask'> {
  paths: string[]
  /** The setting or remote that names the repository. */
  from: string
  /** If undefined, an existing definition keeps its format, and a new one is an action. */
  format: Format | undefined
  check: boolean
  yes: boolean
  json: boolean
}

/** Runs `generate --check` and `generate --apply`. @returns the exit code: 1 if a definition in Port doesn't match its file */
export async function applyFiles(
  call: ApplyCall,
  options: ToActionOptions & { publicUrl?: string | undefined },
): Promise<number> {
  const { env, paths, format, check, yes, json, ask } = call
  const { relay } = options
  if (!relay)
    throw new UsageError("--check and --apply need the relay's address: --relay URL, or RELAY_PUBLIC_URL.")
  if (!check && !yes && !ask)
    throw new UsageError("--apply asks for confirmation, but this isn't a terminal: add --yes.")
  const config = readPortConfig(env)
  const port = createPortClient(config)
  // With --json, the differences are printed to stderr if a question follows.
  const note = (line: string) => call.note(cleanLine(line))
  const print = (line: string) => {
    if (!json) call.print(cleanLine(line))
    else if (!check && !yes) note(line)
  }
  const { repository } = options
  print(
    repository
      ? `The repository is ${repository} (${call.from}).`
      : 'The repository is unknown: pass --repository.',
  )
  const outcomes = await planAll(port, paths, { ...options, relay, format })
  for (const { file, result, message, plan: planned } of outcomes) {
    if (result === 'refused') note(`${file}: ${message}`)
    for (const sentence of planned?.notes ?? []) note(`${file}: ${sentence}`)
    if (!planned) continue
    const state = result === 'unchanged' ? 'is unchanged' : planned.found ? 'differs' : 'is missing'
    print(`${file}: the ${planned.format} ${planned.identifier} ${state}`)
    for (const line of planned.differences) print(`  ${line}`)
  }
  const changes = outcomes.filter(({ result }) => result === 'differs')
  const what = changes.length === 1 ? 'this definition' : `these ${changes.length} definitions`
  const question = `Write ${what} to Port (${new URL(config.apiUrl).host})?`
  if (!check && changes.length > 0 && (yes || (await ask?.(question))))
    for (const outcome of changes) {
      try {
        await apply(port, outcome.plan!)
        outcome.result = outcome.plan!.found ? 'updated' : 'created'
      } catch (error) {
        Object.assign(outcome, refused(error))
        note(`${outcome.file}: ${outcome.message}`)
      }
    }
  if (json) call.print(JSON.stringify(outcomes.map(shown)))
  const counts = [...Map.groupBy(outcomes, ({ result }) => result)].map(
    ([result, all]) => `${all.length} ${result}`,
  )
  print(
    `${outcomes.length} ${outcomes.length === 1 ? 'file' : 'files'}: ${counts.join(', ') || 'none is a workflow'}.`,
  )
  return outcomes.some(({ result }) => result === 'differs' || result === 'refused') ? 1 : 0
}

async function planAll(
  port: Parameters<typeof plan>[0],
  paths: string[],
  options: Parameters<typeof plan>[2],
): Promise<Outcome[]> {
  const files = [...new Set(paths.flatMap(filesIn))]
  const isMany = files.length > 1 || files[0] !== paths[0]
  const generate = async (file: string) => {
    try {
      const made = await generateFile(file, options)
      if (made.rejection === null || options['allow-invalid']) return { file, ...made }
      throw new Error(`${made.rejection} Correct the file, or pass --allow-invalid if GitHub accepts it.`)
    } catch (error) {
      const isSkipped = isMany && error instanceof NotStartable
      return { file, ...refused(error), ...(isSkipped && { result: 'skipped' as const }) }
    }
  }
  const generated = await Promise.all(files.map(generate))
  const outcomes: Outcome[] = []
  for (const each of generated) {
    const { file } = each
    if ('result' in each) {
      outcomes.push(each)
      continue
    }
    const { identifier } = each.action
    const other = generated.find(
      another => another.file !== file && 'action' in another && another.action.identifier === identifier,
    )
    try {
      if (other)
        throw new Error(
          `${other.file} has the same identifier, ${identifier}: pass only one of the files, or choose another identifier with --identifier.`,
        )
      const planned = await plan(port, each, options)
      const result = planned.differences.length === 0 ? 'unchanged' : 'differs'
      const notes = [each.rejection ?? [], planned.found ? [] : each.notes, planned.notes].flat()
      outcomes.push({ file, result, plan: { ...planned, notes } })
    } catch (error) {
      outcomes.push({ file, ...refused(error) })
    }
  }
  return outcomes
}

const refused = (error: unknown) => ({ result: 'refused' as const, message: (error as Error).message })

function filesIn(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path]
  const names = readdirSync(path).filter(name => /\.ya?ml$/.test(name))
  return names.sort().map(name => join(path, name))
}

function shown({ file, result, message, plan: planned }: Outcome) {
  const { format, identifier, differences, notes } = planned ?? {}
  return { file, result, format, identifier, differences, notes, message }
}
