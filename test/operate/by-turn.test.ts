import { spawnSync } from 'node:child_process'
import fs, { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { batchedByTurn, createLog } from '../../relay/log.ts'

test('writes the lines of one event loop turn together, without losing a line', async () => {
  const file = aFile()
  const destination = pino.destination({ dest: file, sync: true })
  const write = vi.spyOn(destination, 'write')
  const log = createLog('info', batchedByTurn(destination))
  log.info('one')
  log.info('two')
  expect(write).not.toHaveBeenCalled()
  await turn()
  log.info('three')
  log.flush()
  expect(write).toHaveBeenCalledTimes(2)
  expect(messages(file)).toEqual(['one', 'two', 'three'])
})

test('writes lines that arrive during a slow write without waiting for another line, then becomes idle', async () => {
  const file = aFile()
  const destination = pino.destination({ dest: file, sync: false, minLength: 4096 })
  const log = createLog('info', batchedByTurn(destination))
  const { write } = fs
  const writes = vi.spyOn(fs, 'write')
  onTestFinished(() => writes.mockRestore())
  writes.mockImplementationOnce((...given) => void setTimeout(() => Reflect.apply(write, fs, given), 250))
  log.info('x'.repeat(5_000))
  await turn()
  log.info('two')
  await sleep(800)
  expect(messages(file).at(-1)).toBe('two')
  expect(writes.mock.calls.length).toBeLessThanOrEqual(3)
})

test.each([
  ['exits', 'process.exit(3)', 3],
  ['fails', 'throw new Error("broken")', 1],
])('a process that %s still writes the lines of its last turn', (_, end, code) => {
  const file = aFile()
  const script = `
    import pino from 'pino'
    import { batchedByTurn, createLog } from './relay/log.ts'
    const destination = pino.destination({ dest: ${JSON.stringify(file)}, sync: false, minLength: 4096 })
    await new Promise(resolve => destination.once('ready', resolve))
    const log = createLog('info', batchedByTurn(destination))
    log.info('one')
    setImmediate(() => {
      log.info('two')
      ${end}
    })`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  expect([status, messages(file)], stderr).toEqual([code, ['one', 'two']])
})

function aFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'by-turn-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'log')
}

const messages = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line).msg)
