import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { until } from '../../../tools/simulator/http-server.ts'
import type { RelayProcess } from '../relay-process.ts'
import { judge, type Verdict } from '../verdict.ts'
import { inWorld, type WorldOptions } from '../world.ts'

/** SIGKILL at random moments while deliveries come in and go out. */
export async function kill(
  fault: string,
  options: WorldOptions & { times: number; perKill: number },
): Promise<Verdict> {
  return inWorld({ repositories: 100, ...options }, async world => {
    await world.relay.start()
    const load = world.load({ count: options.times * options.perKill, perSecond: options.perKill * 1.4 })
    for (let n = 0; n < options.times; n++) {
      await sleep(20 + Math.random() * 400)
      await world.relay.kill()
      await world.relay.start()
    }
    await load.done
    return judge(fault, options.times, world, load)
  })
}

/** SIGKILL as soon as GitHub has answered a `workflow_dispatch`, before the relay can have recorded the answer. */
export async function killAtResponse(
  fault: string,
  options: WorldOptions & { times: number; perKill: number },
): Promise<Verdict> {
  return inWorld({ repositories: 100, target: 'workflow', ...options }, async world => {
    await world.relay.start()
    let times = 0
    let accepted = 0
    let killing: Promise<void> | null = null
    world.github.onWorkflowDispatch(() => {
      if (killing || times === options.times || ++accepted % options.perKill !== 0) return
      times++
      killing = world.relay.kill().then(async () => {
        await world.relay.start()
        killing = null
      })
    })
    const load = world.load({ count: options.times * options.perKill * 2, perSecond: 100 })
    await until(() => times === options.times, `${fault}: it strikes`, 900_000)
    await killing
    await load.done
    return judge(fault, options.times, world, load)
  })
}

/** Several relays on one database; one of them is killed every few seconds and started again. */
export async function killOneOf(
  fault: string,
  options: WorldOptions & {
    database: string
    count: number
    everyMs: number
    perSecond?: number
    /** At the end both are killed, and the minute that their leases last is not waited for. */
    leasesPass?: boolean
  },
): Promise<Verdict> {
  return inWorld({ relays: 2, repositories: 100, ...options }, async world => {
    await Promise.all(world.relays.map(each => each.start()))
    const load = world.load(options)
    let over = false
    void load.done.then(() => (over = true))
    let times = 0
    while (!over || world.accepted().length < options.count / 2) {
      await sleep(options.everyMs * (0.5 + Math.random()))
      const relay = world.relays[times++ % 2] as RelayProcess
      await relay.kill()
      await sleep(Math.random() * 300)
      await relay.start()
    }
    if (options.leasesPass) {
      await Promise.all(world.relays.map(each => each.kill()))
      await passLeases(options.database)
      await Promise.all(world.relays.map(each => each.start()))
      times += 2
    }
    return judge(fault, times, world, load)
  })
}

async function passLeases(database: string): Promise<void> {
  const client = new pg.Client(database)
  await client.connect()
  await client.query('UPDATE deliveries SET lease_until = 0; UPDATE outboxes SET lease_until = 0')
  await client.end()
}
