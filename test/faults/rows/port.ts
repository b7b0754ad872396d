import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/simulator/http-server.ts'
import { startPortApi } from '../../../tools/simulator/port/port.ts'
import { SECRET } from '../../support/sign.ts'
import { judge, type Verdict } from '../verdict.ts'
import { inWorld } from '../world.ts'

/** Port's API is away while deliveries come in: dispatches go on, and Port gets everything later. */
export async function portDown(
  fault: string,
  options: { count: number; forMs: number; perSecond?: number },
): Promise<Verdict & { unreported: number }> {
  const port = await startPortApi({ clientSecret: SECRET })
  const env = { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId }
  try {
    return await inWorld({ env }, async world => {
      await world.relay.start()
      const ids: string[] = []
      const load = world.load({
        ...options,
        onRun: id => {
          ids.push(id)
          port.createRun({ id })
          if (ids.length === Math.floor(options.count / 4)) void port.stop()
        },
      })
      await Promise.all([load.done, sleep(options.forMs)])
      await until(() => world.github.dispatches.length >= options.count, 'dispatches do not wait for Port')
      await port.start()
      const unreported = () =>
        ids.filter(id => {
          const { statusLabel, logs } = port.run(id)
          return statusLabel !== 'Waiting for GitHub' || logs.length === 0
        }).length
      const verdict = await judge(fault, 1, world, load)
      await until(() => unreported() === 0, 'Port shows every delivery', 120_000).catch(() => {})
      return { ...verdict, unreported: unreported() }
    })
  } finally {
    await port.close()
  }
}
