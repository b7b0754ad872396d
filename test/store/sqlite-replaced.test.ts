import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteFile } from '../../relay/store/sqlite/file.ts'
import { until } from '../../simulator/http-server.ts'
import { openRelayHere, type Relay, relayEnv, startRelay, temporaryFolder } from '../support/relay.ts'
import { send } from '../support/requests.ts'

/* SQLite keeps writing to a deleted file, and those writes are lost when the process exits. */

const sendRun = async (relay: Relay, id: string) =>
  (await send(relay.url, { body: { run: { id }, inputs: {} } })).status
const readyz = async (relay: Relay) => (await fetch(`${relay.url}/readyz`)).status

async function startOn(path: string, open = openRelayHere): Promise<Relay> {
  const relay = await open(relayEnv({ RELAY_DATABASE: `sqlite:${path}` }))
  // Makes enough changes for a checkpoint.
  await Promise.all(Array.from({ length: 150 }, (_, n) => sendRun(relay, `r_of_many_${n}`)))
  expect([await sendRun(relay, 'r_before'), await readyz(relay)]).toEqual([202, 200])
  return relay
}

test('a relay whose SQLite file was deleted accepts nothing and is not ready', async () => {
  const path = join(temporaryFolder(), 'relay.db')
  const relay = await startOn(path)
  for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
  for (const id of ['r_1', 'r_2', 'r_3']) {
    expect(await sendRun(relay, id)).toBe(503)
    expect(await readyz(relay)).toBe(503)
  }
  expect(await (await fetch(`${relay.url}/readyz`)).text()).toContain('its file was deleted or replaced. ')
  const named = /relay\.db was deleted or replaced: put it back, or restart the relay/
  await until(() => named.test(relay.printed()), 'its log names the file')
  expect(await relay.stop()).toBe(0)
})

test('no accepted delivery is lost if the SQLite file was briefly replaced by a backup', async () => {
  const path = join(temporaryFolder(), 'relay.db')
  openSqliteFile(`${path}.backup`).close()
  const relay = await startOn(path, startRelay)
  renameSync(path, `${path}.away`)
  renameSync(`${path}.backup`, path)
  expect([await sendRun(relay, 'r_1'), await readyz(relay)]).toEqual([503, 503])
  // A checkpoint is due in the meantime. If SQLite reopened the file, it would delete the WAL file.
  await sleep(700)
  renameSync(`${path}.away`, path)
  expect(await readyz(relay)).toBe(200)
  expect([await sendRun(relay, 'r_1'), await sendRun(relay, 'r_before')]).toEqual([202, 200])
  await relay.kill()
  const again = await openRelayHere(relayEnv({ RELAY_DATABASE: `sqlite:${path}` }))
  expect([await sendRun(again, 'r_1'), await sendRun(again, 'r_before')]).toEqual([200, 200])
})

test('a relay exits if the thread of its SQLite file ends without an error', async () => {
  const end =
    'import{parentPort}from"node:worker_threads";parentPort?.on("message",m=>m.inserts?.length&&process.exit(0))'
  const relay = await startRelay(relayEnv(), ['--import', `data:text/javascript,${end}`])
  await expect(sendRun(relay, 'r_1')).rejects.toThrow()
  await until(() => /ended unexpectedly \(exit code 0\)/.test(relay.printed()), 'its output says why')
  expect(await relay.stop()).toBe(1)
})

test.each([
  ['a link to the file', 'real/relay.db', 'link.db'],
  ['a link to a parent folder', 'real/relay.db', 'other/relay.db'],
  ['the real path if the first relay used a link', 'link.db', 'real/relay.db'],
])('refuses a second relay that opens the same SQLite file through %s', async (_how, first, second) => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'real'))
  symlinkSync(join(folder, 'real', 'relay.db'), join(folder, 'link.db'))
  symlinkSync(join(folder, 'real'), join(folder, 'other'))
  const held = openSqliteFile(join(folder, first))
  onTestFinished(() => held.close())
  const path = join(folder, second)
  expect(() => openSqliteFile(path)).toThrow(`Another relay is running on ${path}: stop that relay first`)
})
