import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../support/postgres.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { withSystem } from './system.ts'
import { judgeStrikes, type Strikes, type Verdict } from './verdict.ts'

type Options = Strikes & { forMs: number }

/** Stops and restarts the test's own PostgreSQL server under load. */
export async function postgresDown(fault: string, options: Options): Promise<Verdict> {
  const server = await startPostgres()
  try {
    const database = await server.createDatabase()
    return await withSystem({ database, repositories: 20 }, system =>
      judgeStrikes(fault, system, options, async () => {
        await server.stop()
        await sleep(options.forMs)
        await server.start()
      }),
    )
  } finally {
    await server.close()
  }
}

/** Makes PostgreSQL refuse every write, like a replica after a failover. */
export async function postgresReadOnly(fault: string, database: string, options: Options): Promise<Verdict> {
  const name = new URL(database).pathname.slice(1)
  const setReadOnly = async (value: 'on' | 'off') => {
    const client = new pg.Client(database.replace(/[^/]+$/, 'postgres'))
    await client.connect()
    await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`)
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
    await client.end()
  }
  return withSystem({ database }, system =>
    judgeStrikes(fault, system, options, async () => {
      await setReadOnly('on')
      await sleep(options.forMs)
      await setReadOnly('off')
    }),
  )
}

/** Fills and frees SQLite's disk under load. Uses a small tmpfs if mounting is possible, else a file size limit. */
export async function diskFull(fault: string, options: Options): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'full-'))
  const disk = mountSmallDisk(folder, '16m')
  try {
    return await withSystem({ folder }, system =>
      judgeStrikes(`${fault} (${disk ? 'tmpfs' : 'limit'})`, system, options, async () => {
        const limitFileSize = (bytes: string) =>
          execFileSync('prlimit', ['--pid', String(system.relay.pid), `--fsize=${bytes}:`])
        if (disk) disk.fill()
        else limitFileSize('0')
        await sleep(options.forMs)
        if (disk) disk.free()
        else limitFileSize('unlimited')
      }),
    )
  } finally {
    disk?.unmount()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Makes SQLite's file read-only while the relay is stopped. The relay refuses to start until the file is writable. */
export async function sqliteReadOnly(fault: string, options: Options): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'read-only-'))
  const disk = mountSmallDisk(folder, '64m')
  const setReadOnly = (on: boolean) => {
    if (disk) disk.remount(on ? 'ro' : 'rw')
    else chmodSync(folder, on ? 0o555 : 0o755)
  }
  try {
    return await withSystem({ folder }, system =>
      judgeStrikes(fault, system, options, async () => {
        await system.relay.stop()
        setReadOnly(true)
        const message = await system.relay.start().then(
          () => 'the relay started',
          (error: Error) => error.message,
        )
        if (!message.includes('RELAY_DATABASE must be a file in a folder that the relay can write to'))
          throw new Error(`On a read-only disk: ${message}`)
        setReadOnly(false)
        await system.relay.start()
      }),
    )
  } finally {
    disk?.unmount()
    rmSync(folder, { recursive: true, force: true })
  }
}
