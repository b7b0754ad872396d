import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { defineCommand, JSON_OPTION, UsageError } from './command.ts'
import type { Finding, MigrateOptions, Trigger } from './migrate/types.ts'

const ACTION = 'org/port-webhook-action@v1'

export const migrate = defineCommand({
  name: 'migrate',
  summary: 'Rewrites workflows that report to Port by hand, so that they report by the action.',
  positionals: ['FILE…'],
  options: {
    write: { type: 'boolean', help: 'write the files instead of printing them' },
    on: {
      type: 'string',
      value: 'EVENT',
      help: 'workflow_dispatch or repository_dispatch; without it, what starts the workflow stays',
    },
    'event-type': {
      type: 'string',
      value: 'TYPE',
      help: "with --on repository_dispatch: the identifier of the action in Port; the file's name by default",
    },
    credentials: {
      type: 'boolean',
      help: "report with the workflow's own client id and secret, instead of by OIDC through the relay",
    },
    'keep-logs': {
      type: 'boolean',
      help: "keep log messages of fixed text too, which the action's own log of the steps replaces",
    },
    action: { type: 'string', value: 'USES', help: `the action; ${ACTION} by default` },
    json: JSON_OPTION,
  },
  details: `Each rewritten workflow is printed, and on stderr, with its line, what needs a look: "todo" was left as it was, "check"
was rewritten and depends on what the workflow does not show. What is migrated already stays as it is. Workflows that
call each other are migrated together: name all of their files.`,
  async run({ values, positionals: files, print, note }) {
    checkValues(values, files)
    const { results, problems } = await migrateAll(files, values)
    for (const problem of problems) note(problem)
    if (values.write) for (const { file, changed, workflow } of results) if (changed) write(file, workflow)
    if (values.json) print(JSON.stringify({ files: results }, null, 2))
    else {
      for (const { file, changed, workflow, findings } of results) {
        if (values.write) print(`${file}: ${changed ? 'rewritten' : 'unchanged'}`)
        else print((results.length > 1 ? `# ${file}\n` : '') + workflow.replace(/\n$/, ''))
        for (const { line, level, message } of findings) note(`${file}:${line}: ${level}: ${message}`)
      }
    }
    return problems.length > 0 ? 1 : 0
  },
})

interface Result {
  file: string
  changed: boolean
  workflow: string
  findings: Finding[]
}

type Values = {
  on?: string
  'event-type'?: string
  credentials?: boolean
  'keep-logs'?: boolean
  action?: string
}

function checkValues({ on, 'event-type': type, action }: Values, files: string[]): void {
  if (files.length === 0)
    throw new UsageError('migrate needs a FILE: the workflow to rewrite; see migrate --help.')
  if (on !== undefined && !/^(workflow|repository)_dispatch$/.test(on))
    throw new UsageError(`--on must be workflow_dispatch or repository_dispatch, not ${JSON.stringify(on)}.`)
  if (type !== undefined && !/^[\w.-]{1,100}$/.test(type))
    throw new UsageError(`--event-type must be letters, digits and . _ - only, not ${JSON.stringify(type)}.`)
  if (action !== undefined && !/^[\w.-]+\/[\w./-]+@[\w./-]+$/.test(action))
    throw new UsageError(`--action must be OWNER/NAME@VERSION, not ${JSON.stringify(action)}.`)
}

async function migrateAll(
  files: string[],
  values: Values,
): Promise<{ results: Result[]; problems: string[] }> {
  // What rewrites and GitHub's parser take longer to load than the relay to start.
  const [{ migrateFiles }, { migrateWorkflow }] = await Promise.all([
    import('./migrate/migrate-files.ts'),
    import('./migrate/migrate-workflow.ts'),
  ])
  const results: Result[] = []
  const problems: string[] = []
  const folders = new Map<string, { file: string; text: string }[]>()
  for (const file of files) {
    try {
      const text = readFileSync(file, 'utf8')
      migrateWorkflow(text, optionsFor(file, values))
      folders.set(dirname(file), [...(folders.get(dirname(file)) ?? []), { file, text }])
    } catch (error) {
      problems.push(`${file} cannot be migrated: ${(error as Error).message}`)
    }
  }
  for (const folder of folders.values()) {
    const migrated = await migrateFiles(
      folder.map(({ file, text }) => ({ name: basename(file), text, options: optionsFor(file, values) })),
    )
    for (const [index, { text: workflow, changed, findings, problem }] of migrated.entries()) {
      const { file } = folder[index]!
      if (problem !== null) problems.push(`${file} is not rewritten: ${problem}`)
      results.push({ file, changed, workflow, findings })
    }
  }
  return { results, problems }
}

function optionsFor(file: string, values: Values): MigrateOptions {
  const name = basename(file).replace(/\.ya?ml$/, '')
  return {
    ...(values.on !== undefined && { on: values.on as Trigger }),
    eventType: values['event-type'] ?? name.replace(/[^\w.-]/g, '_'),
    action: values.action ?? ACTION,
    credentials: values.credentials ?? false,
    keepLogs: values['keep-logs'] ?? false,
  }
}

/** The file is the old one or the new one, never half of it. */
function write(file: string, text: string): void {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
