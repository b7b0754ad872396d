import { closeSync, fsyncSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { readSecrets } from '../relay/config/values.ts'
import { FIRST_VERSION } from '../relay/store/migrations.ts'
import { storedIn } from '../relay/store/sqlite/file.ts'
import { createPrivateFile, defineCommand, UsageError } from './command.ts'

export const backup = defineCommand({
  name: 'backup',
  summary: "Copies the relay's SQLite database to a new file, even while the relay runs.",
  positionals: ['FILE'],
  options: {},
  details:
    'FILE becomes a copy of RELAY_DATABASE that only you can read, because it contains inputs. For PostgreSQL, use pg_dump.',
  async run({ env, positionals: [name], print }) {
    if (!name) throw new UsageError('Specify the new file: backup FILE.')
    // SQLite would read a name such as `:memory:` or `file:a%2eb` differently than Node.
    const file = resolve(name)
    const problems: string[] = []
    const { values } = readSecrets(env, ['RELAY_DATABASE'], path => readFileSync(path, 'utf8'), problems)
    if (problems[0]) throw new Error(`${problems[0]}.`)
    const [, path] = /^sqlite:(.+)/s.exec(values.RELAY_DATABASE ?? 'sqlite:./data/relay.db') ?? []
    if (!path) throw new Error("RELAY_DATABASE isn't sqlite:PATH. For PostgreSQL, use pg_dump.")
    const created = createPrivateFile(file, 'choose another name')
    try {
      const database = new DatabaseSync(realpathSync(path), { readOnly: true, timeout: 5000 })
      if (storedIn(database).version < FIRST_VERSION) throw new Error("it isn't a relay's database")
      database.prepare('VACUUM INTO ?').run(file)
      // SQLite doesn't wait until the copy is on the disk.
      fsyncSync(created)
      const copy = new DatabaseSync(file, { readOnly: true })
      const isWhole =
        read(copy, 'quick_check') === 'ok' && read(copy, 'user_version') === read(database, 'user_version')
      for (const each of [database, copy]) each.close()
      if (!isWhole) throw new Error('the copy is damaged')
    } catch (cause) {
      rmSync(file, { force: true })
      throw new Error(`${path} can't be copied to ${file}: ${(cause as Error).message}.`, { cause })
    } finally {
      closeSync(created)
    }
    print(`Written: ${file}, ${(statSync(file).size / 1e6).toFixed(1)} MB.`)
  },
})

const read = (from: DatabaseSync, pragma: string) => from.prepare(`PRAGMA ${pragma}`).get()?.[pragma]
