import { inject } from 'vitest'
import type { TestProject } from 'vitest/node'
import { createDatabase, startPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: string
  }
}

/** Starts the PostgreSQL server for all test files, before the first file runs (`globalSetup`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Each relay opens several connections. Writes are not flushed, because no test needs the data after a crash.
  const server = await startPostgres({ settings: { max_connections: '400', fsync: 'off' } })
  project.provide('postgres', server.url)
  return server.close
}

/** Creates an empty database on the server. Returns its URL. Tests that stop PostgreSQL start their own server. */
export const newDatabase = (): Promise<string> => createDatabase(inject('postgres'))
