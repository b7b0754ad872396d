import { mkdtempDisposableSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../test/support/postgres.ts'
import { against } from './against.ts'
import { click } from './click.ts'
import { drain } from './drain.ts'
import { idle } from './idle.ts'
import { intake } from './intake.ts'
import { latency } from './latency.ts'
import { chooseGenerator } from './load/load.ts'
import { million } from './million.ts'
import { type Results, render } from './render.ts'
import { bundleSizes, starts } from './start.ts'

/*
 * Prints the results of one run on one machine, next to the goals. `npm run bench -- intake latency` runs only the
 * parts intake and latency. Without arguments, all parts run except million, which takes long. `--json` prints the results as JSON.
 * `--against REV` only compares intake with another revision.
 */
const PARTS = ['intake', 'latency', 'click', 'idle', 'drain', 'starts', 'million'] as const
const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean' }, against: { type: 'string' } },
  allowPositionals: true,
})
const unknown = positionals.find(part => !PARTS.some(each => each === part))
if (unknown) throw new Error(`There is no part ${unknown}; parts: ${PARTS.join(', ')}`)
const runs = (part: (typeof PARTS)[number]) =>
  !values.against && (positionals.length === 0 ? part !== 'million' : positionals.includes(part))

using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
// The setting that should be changed first, according to PostgreSQL. The default of 128 MB is meant to work on any
// machine. https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-SHARED-BUFFERS
const settings = { shared_buffers: '1GB' }
const postgres =
  values.against || (['intake', 'latency', 'idle', 'million'] as const).some(runs)
    ? await startPostgres({ settings })
    : null

try {
  const generator = chooseGenerator()
  if (postgres && values.against) {
    for (const line of await against(values.against, generator, () => postgres.createDatabase()))
      console.log(line)
  }
  const results: Results = {
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${(totalmem() / 2 ** 30).toFixed(0)} GB`,
    versions: { node: process.version, generator: generator.name },
  }
  if (postgres && runs('intake')) results.intake = await intake(generator, () => postgres.createDatabase())
  if (postgres && runs('latency'))
    results.latency = {
      SQLite: await latency(null),
      PostgreSQL: await latency(() => postgres.createDatabase()),
    }
  if (runs('click')) results.click = await click()
  if (postgres && runs('idle')) results.idle = await idle(() => postgres.createDatabase())
  if (runs('drain')) results.drain = await drain()
  if (runs('starts')) results.starts = { ...(await starts()), bundles: bundleSizes() }
  if (postgres && runs('million')) {
    results.million = {
      sqlite: await million(
        async name => `sqlite:${join(folder.path, `${name}.db`)}`,
        async () => {},
      ),
      postgres: await million(() => postgres.createDatabase(), vacuum),
    }
  }
  if (!values.against) console.log(values.json ? JSON.stringify(results, null, 2) : render(results))
} finally {
  await postgres?.close()
}

/** Does what autovacuum would do if a million deliveries arrived over time. */
async function vacuum(url: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('VACUUM ANALYZE')
  await client.query('CHECKPOINT')
  await client.end()
}
