import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import type { Finding, MigrateOptions, Trigger } from './migrate/types.ts'

const HELP = `migrate FILE… [options]: rewrites workflows that report to Port by hand, so that they report by the action.

Prints each rewritten workflow, and on stderr, with its line, what needs a look: "todo" was left as it was, "check"
was rewritten and depends on what the workflow does not tell. What is migrated already stays as it is.

  --write              write the files instead of printing them
  --on EVENT           workflow_dispatch or repository_dispatch; without it, what starts the workflow stays: a
                       workflow_dispatch gets the input port, for a target \`workflow\`
  --event-type TYPE    with --on repository_dispatch: the identifier of the action in Port; default: the file's name
  --credentials        report with the workflow's own client id and secret, instead of by OIDC through the relay
  --keep-logs          keep log messages of fixed text too; the action's own log of the steps replaces those
  --action USES        the action; default: org/port-webhook-action@v1
  --json               print files, texts and findings as JSON
  --help               print this

Workflows that call each other are migrated together: name all of their files.`

interface Result {
  file: string
  changed: boolean
  workflow: string
  findings: Finding[]
}

/** Rewrites workflows: `migrate FILE… [--write] [--json]`. Sets the exit code 2 for wrong arguments, 1 for a file that cannot be read. */
export async function migrate(_env: Record<string, string | undefined>, args: string[]): Promise<void> {
  const given = readArguments(args)
  if (typeof given === 'string') {
    console.error(given)
    process.exitCode = 2
    return
  }
  const { values, files } = given
  if (values.help) {
    console.log(HELP)
    return
  }
  const { results, problems } = await migrateFiles(files, values)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
  if (values.write) {
    for (const { file, changed, workflow } of results) if (changed) write(file, workflow)
  }
  if (values.json) {
    console.log(JSON.stringify({ files: results }, null, 2))
    return
  }
  for (const { file, changed, workflow, findings } of results) {
    if (!values.write) process.stdout.write(results.length > 1 ? `# ${file}\n${workflow}` : workflow)
    else console.log(`${file}: ${changed ? 'rewritten' : 'unchanged'}`)
    for (const { line, level, message } of findings) console.error(`${file}:${line}: ${level}: ${message}`)
  }
}

type Values = {
  write?: boolean
  on?: Trigger
  'event-type'?: string
  credentials?: boolean
  'keep-logs'?: boolean
  action?: string
  json?: boolean
  help?: boolean
}

/** @returns a sentence where they are wrong */
function readArguments(args: string[]): { values: Values; files: string[] } | string {
  let parsed: { values: Record<string, string | boolean | undefined>; positionals: string[] }
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        write: { type: 'boolean' },
        on: { type: 'string' },
        'event-type': { type: 'string' },
        credentials: { type: 'boolean' },
        'keep-logs': { type: 'boolean' },
        action: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    return `${(error as Error).message.split('.')[0]}; see migrate --help.`
  }
  const values = parsed.values as Values
  const type = values['event-type']
  if (values.help) return { values, files: [] }
  if (parsed.positionals.length === 0)
    return 'migrate needs a FILE: the workflow to rewrite; see migrate --help.'
  if (values.on !== undefined && !/^(workflow|repository)_dispatch$/.test(values.on))
    return `--on must be workflow_dispatch or repository_dispatch, not ${JSON.stringify(values.on)}.`
  if (type !== undefined && !/^[\w.-]{1,100}$/.test(type))
    return `--event-type must be letters, digits and . _ - only, not ${JSON.stringify(type)}.`
  if (values.action !== undefined && !/^[\w.-]+\/[\w.-]+(\/[\w./-]+)?@[\w./-]+$/.test(values.action))
    return `--action must be OWNER/NAME@VERSION, not ${JSON.stringify(values.action)}.`
  return { values, files: parsed.positionals }
}

async function migrateFiles(
  files: string[],
  values: Values,
): Promise<{ results: Result[]; problems: string[] }> {
  // What rewrites and GitHub's parser take longer to load than the relay to start.
  const [{ migrateWorkflow }, { checkWorkflow }] = await Promise.all([
    import('./migrate/migrate-workflow.ts'),
    import('./migrate/check-workflow.ts'),
  ])
  const results: Result[] = []
  const problems: string[] = []
  for (const file of files) {
    try {
      const text = readFileSync(file, 'utf8')
      const { text: workflow, changed, findings } = migrateWorkflow(text, optionsFor(file, files, values))
      const errors = changed ? await checkWorkflow(basename(file), workflow) : []
      const before = errors.length > 0 ? await checkWorkflow(basename(file), text) : []
      if (before.length > 0)
        problems.push(`${file} is not rewritten: GitHub's parser refuses it as it is: ${before.join('; ')}`)
      else if (errors.length > 0)
        problems.push(`${file} is not rewritten: GitHub's parser would refuse it: ${errors.join('; ')}`)
      results.push(
        errors.length > 0
          ? { file, changed: false, workflow: text, findings }
          : { file, changed, workflow, findings },
      )
    } catch (error) {
      problems.push(`${file} cannot be migrated: ${(error as Error).message}`)
    }
  }
  return { results, problems }
}

function optionsFor(file: string, files: string[], values: Values): MigrateOptions {
  const name = basename(file).replace(/\.ya?ml$/, '')
  return {
    ...(values.on && { on: values.on }),
    eventType: values['event-type'] ?? name.replace(/[^\w.-]/g, '_'),
    action: values.action ?? 'org/port-webhook-action@v1',
    credentials: values.credentials ?? false,
    keepLogs: values['keep-logs'] ?? false,
    together: files.map(each => basename(each)),
  }
}

/** The file is the old one or the new one, never half of it. */
function write(file: string, text: string): void {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
