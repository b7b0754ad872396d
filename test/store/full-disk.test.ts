import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { startPostgres } from '../support/postgres.ts'
import { type Relay, relayEnv, startRelay, temporaryFolder } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { mountSmallDisk } from '../support/small-disk.ts'

const LIMIT_MS = 120_000
let sent = 0
const sendRun = async (relay: Relay) =>
  (await send(relay.url, { body: { run: { id: `r_${++sent}` }, inputs: { text: 'x'.repeat(2_000) } } }))
    .status
const readyz = async (relay: Relay) => (await fetch(`${relay.url}/readyz`)).status

test.for<[kind: string, size: string]>([
  ['sqlite', '16m'],
  ['postgres', '128m'],
])(
  'a relay on %s is not ready while the disk is full, and recovers when space becomes available',
  { timeout: 3 * LIMIT_MS },
  async ([kind, size], context) => {
    const folder = temporaryFolder()
    const disk = mountSmallDisk(folder, size)
    if (disk) onTestFinished(disk.unmount)
    const path = join(folder, 'relay.db')
    let database = `sqlite:${path}`
    if (kind === 'postgres') {
      if (!disk) return context.skip('mounting a disk is not permitted')
      const server = await startPostgres({ folder })
      onTestFinished(server.close)
      database = await server.createDatabase()
    }
    const relay = await startRelay(relayEnv({ RELAY_DATABASE: database }))
    expect([await sendRun(relay), await readyz(relay)]).toEqual([202, 200])
    const limitFiles = (to: string) => execFileSync('prlimit', ['--pid', String(relay.pid), `--fsize=${to}:`])
    const [db, wal] = [path, `${path}-wal`].map(file => (existsSync(file) ? statSync(file).size : 0))

    if (disk) disk.fill()
    else limitFiles(String(Math.max(db!, wal!)))
    // The database uses its preallocated space first, in each table and index.
    const refuses = async () => (await sendRun(relay)) === 503 && (await readyz(relay)) === 503
    const refusesEach = async () => (await refuses()) && (await refuses()) && refuses()
    await until(refusesEach, 'three webhooks are refused while the relay is not ready', LIMIT_MS)

    if (disk) disk.free()
    else limitFiles('unlimited')
    await until(async () => (await readyz(relay)) === 200, 'the relay is ready again', LIMIT_MS)
    expect(await sendRun(relay)).toBe(202)
  },
)
