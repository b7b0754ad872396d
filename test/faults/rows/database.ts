import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../../support/postgres.ts'
import { mountSmallDisk } from '../../support/small-disk.ts'
import { judge, type Verdict } from '../verdict.ts'
import { inWorld } from '../world.ts'

interface Options {
  count: number
  perSecond: number
  times: number
  forMs: number
}

/** PostgreSQL, a server of its own, is stopped and started again under load. */
export async function postgresDown(fault: string, options: Options): Promise<Verdict> {
  const server = await startPostgres()
  try {
    return await inWorld({ database: await server.createDatabase(), repositories: 100 }, async world => {
      await world.relay.start()
      const load = world.load(options)
      for (let n = 0; n < options.times; n++) {
        await sleep(500)
        await server.stop()
        await sleep(options.forMs)
        await server.start()
      }
      await load.done
      return judge(fault, options.times, world, load)
    })
  } finally {
    await server.close()
  }
}

/** PostgreSQL refuses every write, as a replica does after a fail-over. */
export async function postgresReadOnly(fault: string, database: string, options: Options): Promise<Verdict> {
  const name = new URL(database).pathname.slice(1)
  const setReadOnly = async (value: 'on' | 'off') => {
    const client = new pg.Client(database.replace(/[^/]+$/, 'postgres'))
    await client.connect()
    await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`)
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
    await client.end()
  }
  return inWorld({ database }, async world => {
    await world.relay.start()
    const load = world.load(options)
    for (let n = 0; n < options.times; n++) {
      await sleep(300)
      await setReadOnly('on')
      await sleep(options.forMs)
      await setReadOnly('off')
    }
    await load.done
    return judge(`${fault}, ${load.responses.get(503) ?? 0} × 503`, options.times, world, load)
  })
}

/**
 * The disk under SQLite fills up under load, and is freed again: a small tmpfs where one may be mounted,
 * else a limit on the size of a file.
 */
export async function diskFull(fault: string, options: Options): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'full-'))
  const disk = mountSmallDisk(folder, '16m')
  const limited = { command: ['/bin/sh', '-c', 'ulimit -S -f 1024; exec "$@"', 'sh'] }
  try {
    return await inWorld({ folder, ...(disk ? {} : limited) }, async world => {
      await world.relay.start()
      const load = world.load(options)
      for (let n = 0; n < options.times; n++) {
        await sleep(300)
        disk?.fill()
        await sleep(options.forMs)
        if (disk) disk.free()
        else execFileSync('prlimit', ['--pid', String(world.relay.pid), '--fsize=unlimited'])
      }
      await load.done
      const way = disk ? 'tmpfs' : 'limit'
      return judge(`${fault} (${way}), ${load.responses.get(503) ?? 0} × 503`, options.times, world, load)
    })
  } finally {
    disk?.unmount()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** SQLite's file turns read-only while the relay is away: it refuses to start, until it may write. */
export async function sqliteReadOnly(fault: string, options: Options): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'read-only-'))
  const disk = mountSmallDisk(folder, '64m')
  const setReadOnly = (on: boolean) => {
    if (disk) disk.remount(on ? 'ro' : 'rw')
    else chmodSync(folder, on ? 0o555 : 0o755)
  }
  try {
    return await inWorld({ folder }, async world => {
      await world.relay.start()
      const load = world.load(options)
      for (let n = 0; n < options.times; n++) {
        await sleep(300)
        await world.relay.stop()
        setReadOnly(true)
        const words = await world.relay.start().then(
          () => 'it started',
          (error: Error) => error.message,
        )
        if (!words.includes('RELAY_DATABASE must name a file in a folder that the relay may write to'))
          throw new Error(`On a read-only disk: ${words}`)
        setReadOnly(false)
        await world.relay.start()
      }
      await load.done
      return judge(fault, options.times, world, load)
    })
  } finally {
    disk?.unmount()
    rmSync(folder, { recursive: true, force: true })
  }
}
