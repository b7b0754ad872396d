import { inject } from 'vitest'
import type { TestProject } from 'vitest/node'
import { createDatabase, startPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: string
  }
}

/** Starts the PostgreSQL of all test files, before the first of them (`globalSetup`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Each relay holds several connections.
  const server = await startPostgres({ settings: { max_connections: '400' } })
  project.provide('postgres', server.url)
  return server.close
}

/** Creates an empty database on it; returns its address. A test that stops PostgreSQL starts its own. */
export const newDatabase = (): Promise<string> => createDatabase(inject('postgres'))
