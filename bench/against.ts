import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempDisposableSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generator } from './load/load.ts'
import { signWebhooks } from './load/webhooks.ts'
import { type Server, startServer } from './processes.ts'
import { CLONE, relayEnvironment } from './relay-environment.ts'
import { percentile } from './statistics.ts'

const CONNECTIONS = 64
const SIZE = 1_400
const WARM_UP = 6
const SLICES = 20
/** The number of webhooks for a slice of one second: more than a relay handles. Each webhook is sent once. */
const MOST = 25_000

/**
 * Compares the CPU time of a webhook, in all threads, with that of another revision. Both relays are warm, run at the
 * same time, and get webhooks in alternating slices of a second, so that other work on the machine affects both.
 *
 * @returns one line per database, with medians and, in parentheses, quartiles
 */
export async function against(
  revision: string,
  generator: Generator,
  createDatabase: () => Promise<string>,
): Promise<string[]> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const root = join(import.meta.dirname, '..')
  const clone = join(folder.path, 'clone')
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const commit = git('rev-parse', '--verify', `${revision}^{commit}`)
  git('clone', '--quiet', '--shared', '--no-checkout', root, clone)
  git('-C', clone, 'checkout', '--quiet', commit)
  if (git('diff', '--name-only', commit, '--', 'package-lock.json'))
    execFileSync('npm', ['ci', '--silent'], { cwd: clone, stdio: 'inherit' })
  else symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))

  const lines: string[] = []
  for (const kind of ['SQLite', 'PostgreSQL']) {
    const start = async (main: string, name: string) => {
      const database = kind === 'SQLite' ? `sqlite:${join(folder.path, name)}` : await createDatabase()
      // Earlier revisions have the command in relay/.
      const file = [CLONE.file, 'relay/main.ts'].map(each => join(main, each)).find(existsSync)!
      return startServer(file, { ...relayEnvironment(database), ...CLONE.env }, CLONE.flags)
    }
    await using here = await start(root, 'here.db')
    await using there = await start(clone, 'there.db')
    const slice = async (server: Server) =>
      (await generator.run(server, signWebhooks(MOST, SIZE), CONNECTIONS, 1)).cpuUs
    const measured = new Map<Server, number[]>([here, there].map(server => [server, []]))
    for (let i = -WARM_UP; i < SLICES; i++) {
      // Each relay is first in every other pair.
      for (const server of i % 2 === 0 ? [here, there] : [there, here]) {
        const cpuUs = await slice(server)
        if (i >= 0) measured.get(server)?.push(cpuUs)
      }
    }
    const [now = [], before = []] = measured.values()
    const at = (values: number[], share: number) => percentile(values, share).toFixed(0)
    const quartiles = (values: number[]) => `${at(values, 50)} (${at(values, 25)} to ${at(values, 75)})`
    const changes = now.map((cpuUs, i) => (cpuUs / (before[i] ?? Number.NaN) - 1) * 100)
    lines.push(
      `${kind}: ${quartiles(now)} µs of CPU time per webhook, ${revision}: ${quartiles(before)} µs; difference ${quartiles(changes)} percent`,
    )
  }
  return lines
}
