import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { cleanLine } from '../port/text.ts'
import { LOCKFILE } from '../relay/github/workflow-files.ts'
import { defineCommand, flag, JSON_OPTION, readInput, text, UsageError } from './command.ts'
import { FORMAT_OPTION, relayOf } from './generate.ts'

const ACTION = 'org/port-webhook-action@v1'
const LOCKED = `${LOCKFILE} must list the added action, or GitHub starts no job: run "gh actions-lock", and commit the file.`

export const migrate = defineCommand({
  name: 'migrate',
  summary: 'Rewrites workflows to report with the action, and Port actions to start them through the relay.',
  positionals: ['FILE…'],
  options: {
    write: flag('write the workflows instead of printing them'),
    'port-action': text(
      'FILE',
      'print the Port actions in this export from Port, changed to use the relay as their backend',
    ),
    format: FORMAT_OPTION,
    relay: text('URL', "the relay's address; RELAY_PUBLIC_URL by default"),
    'keep-logs': flag('also keep log messages with fixed text, although the action itself logs the steps'),
    action: text('USES', `the action to add; ${ACTION} by default`),
    json: JSON_OPTION,
  },
  details: `Each FILE is a workflow. Steps that report to Port are replaced. The action, its permissions, and the input port are
added. All other text is kept. Changes that you must make yourself are on stderr, with file and line. A second run
changes nothing. If workflows call each other, pass them in one command. --format applies only to --port-action. The
FILE of --port-action contains one or more actions in JSON or YAML.`,
  async run({ env, values, positionals: files, print, note }) {
    const { 'port-action': exported, action = ACTION, 'keep-logs': keepLogs = false } = values
    if (files.length === 0 && exported === undefined)
      throw new UsageError('migrate needs a workflow FILE or --port-action FILE; see migrate --help.')
    if (!/^[\w.-]+\/[\w./-]+@[\w./-]+$/.test(action))
      throw new UsageError(`--action must be OWNER/NAME@VERSION, not ${JSON.stringify(action)}.`)
    const relay = relayOf(values.relay ?? (env.RELAY_PUBLIC_URL || undefined))
    // GitHub's parser is loaded here and not at the start, because loading it takes longer than starting the relay.
    const { migrateFiles } = await import('./migrate/files.ts')
    const { migratePortActions } = await import('./migrate/port-action.ts')
    const { format = 'action' } = values
    const ported =
      exported === undefined ? null : migratePortActions(readInput(exported).toString(), { relay, format })
    const results = []
    for (const [folder, paths] of Map.groupBy(files, dirname)) {
      const texts = new Map(paths.map(path => [basename(path), readInput(path).toString()]))
      const isLocked = existsSync(join(folder, basename(LOCKFILE)))
      for (const [name, { text: workflow, ...rest }] of await migrateFiles(texts, { action, keepLogs })) {
        const changed = workflow !== texts.get(name)
        if (isLocked && changed) rest.remarks.push({ line: 1, message: LOCKED })
        results.push({ file: join(folder, name), changed, workflow, ...rest })
      }
    }
    for (const { file, remarks } of results)
      for (const { line, message } of remarks) note(cleanLine(`${file}:${line}: ${message}`))
    for (const message of ported?.notes ?? []) note(cleanLine(`${exported}: ${message}`))
    for (const { file, changed, workflow } of results) {
      if (values.write && changed) write(file, workflow)
      if (values.json) continue
      if (values.write) print(cleanLine(`${file}: ${changed ? 'rewritten' : 'unchanged'}`))
      else print((results.length > 1 ? `${cleanLine(`# ${file}`)}\n` : '') + workflow.replace(/\n$/, ''))
    }
    const [first, ...others] = ported?.definitions ?? []
    if (values.json) print(JSON.stringify({ files: results, definitions: ported?.definitions }, null, 2))
    else if (first) print(JSON.stringify(others.length > 0 ? [first, ...others] : first, null, 2))
    return results.some(({ refused }) => refused) ? 1 : 0
  },
})

/** Replaces the file atomically. Doesn't follow a link that has the name of the temporary file. */
function write(file: string, text: string): void {
  try {
    writeFileSync(`${file}.new`, text, { flag: 'wx' })
    renameSync(`${file}.new`, file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const hint = code === 'EEXIST' ? `: remove ${file}.new` : ''
    throw new Error(`${file} can't be written (${code})${hint}.`, { cause })
  }
}
