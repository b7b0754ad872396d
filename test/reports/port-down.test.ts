import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { startRelay } from '../support/relay.ts'
import { type System, startReport, startSystem } from './open-stage.ts'

const line = (message: string) => ({ level: 'INFO', message })
const said = (system: System, id: string) => system.port.run(id).logs.flatMap(log => log.message.split('\n'))

/** Reports the log lines `from`…`to` of a run, two lines per message. */
async function logLines(system: System, token: string, id: string, from: number, to: number) {
  for (let number = from; number <= to; number++) {
    const reports = [{ log: [line(`${number} a`), line(`${number} b`)] }]
    expect((await system.report(token, id, reports, { sender: 'main', number })).status).toBe(202)
  }
}
const lines = (to: number) => Array.from({ length: to }, (_, i) => [`${i + 1} a`, `${i + 1} b`]).flat()

test('if Port is down during the whole job and the relay is killed twice, Port gets every line in order, then the status', async () => {
  const system = await startSystem({}, startRelay)
  const { id, portRun } = await system.deliver()
  await until(() => portRun!.logs.length === 1, 'Port shows the dispatch')
  await system.port.stop()
  const token = await startReport(system, id)
  await logLines(system, token, id, 1, 20)
  await system.relay.kill()
  await system.restart(startRelay)
  await logLines(system, token, id, 21, 40)
  const update = { conclusion: 'success', statusLabel: 'Succeeded', summary: 'all well' }
  const end = [{ log: [line('the end')] }, { update }]
  expect((await system.report(token, id, end)).status).toBe(202)
  await system.relay.kill()
  // The connection is cut, so the action sends the report again to the restarted relay.
  await system.restart()
  expect((await system.report(token, id, end)).status).toBe(202)

  await system.port.start()
  await until(() => portRun!.status !== 'IN_PROGRESS', 'Port shows the result')
  expect(said(system, portRun!.id).slice(1)).toEqual([...lines(40), 'the end'])
  expect(portRun).toMatchObject({ status: 'SUCCESS', statusLabel: 'Succeeded', summary: 'all well' })
})

test('if a relay is killed while it updates Port, the restarted relay continues at the same line and loses no line', async () => {
  const system = await startSystem({}, startRelay)
  const { id, portRun } = await system.deliver()
  await until(() => portRun!.logs.length === 1, 'Port shows the dispatch')
  const token = await startReport(system, id)
  system.port.fail({ times: Number.POSITIVE_INFINITY, delayMs: 30 })
  const sending = logLines(system, token, id, 1, 30)
  await sleep(150)
  await sending
  await system.relay.kill()
  await system.restart()
  await system.report(token, id, [{ update: { conclusion: 'failure' } }])
  await until(() => portRun!.status === 'FAILURE', 'Port shows the result')
  // The request that was in progress during the kill can arrive twice.
  const all = said(system, portRun!.id).slice(1)
  expect([...new Set(all)]).toEqual(lines(30))
  const requests = portRun!.logs.slice(1).map(log => log.message)
  expect(requests.length - new Set(requests).size).toBeLessThanOrEqual(1)
})
