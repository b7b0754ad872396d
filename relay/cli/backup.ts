import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { readSecrets } from '../config/values.ts'
import { defineCommand, UsageError } from './command.ts'

export const backup = defineCommand({
  name: 'backup',
  summary: "Copies the relay's SQLite database to a new file, even while the relay runs.",
  positionals: ['FILE'],
  options: {},
  details:
    'FILE becomes a copy of RELAY_DATABASE that only you can read, because it contains inputs. For PostgreSQL, use pg_dump.',
  async run({ env, positionals: [file], print }) {
    if (!file) throw new UsageError('Specify the new file: backup FILE.')
    const problems: string[] = []
    const read = (path: string) => readFileSync(path, 'utf8')
    const { values } = readSecrets(env, ['RELAY_DATABASE'], read, problems)
    if (problems[0]) throw new Error(`${problems[0]}.`)
    const [, path] = /^sqlite:(.+)/s.exec(values.RELAY_DATABASE ?? 'sqlite:./data/relay.db') ?? []
    if (!path) throw new Error("RELAY_DATABASE isn't sqlite:PATH. For PostgreSQL, use pg_dump.")
    const created = create(file)
    try {
      const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
      database.prepare('VACUUM INTO ?').run(file)
      database.close()
      // SQLite doesn't wait until the copy is on the disk.
      fsyncSync(created)
    } catch (cause) {
      rmSync(file, { force: true })
      throw new Error(`${path} can't be copied to ${file}: ${(cause as Error).message}.`, { cause })
    } finally {
      closeSync(created)
    }
    print(`Written: ${file}, ${(statSync(file).size / 1e6).toFixed(1)} MB.`)
    return 0
  },
})

/** Creates an empty file that only its owner can read. SQLite writes to this file. */
function create(file: string): number {
  try {
    return openSync(file, 'wx+', 0o600)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'already exists: choose another name' : `can't be written (${code})`
    throw new Error(`${file} ${why}.`, { cause })
  }
}
