import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Figures, load, startServer, stopServer } from './load.ts'
import { SECRET } from './signed-requests.ts'

const WARM_UP = 12_800
const COUNT = 64_000

/** (a) bare Hono echo, (b) verification alone, (c) the whole relay with its durable write, to SQLite and (d) to PostgreSQL; from one run. */
export async function intake(
  postgresUrl: string,
): Promise<Record<'echo' | 'verify' | 'relay' | 'postgres', Figures>> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  try {
    return {
      echo: await measure('bench/servers/echo.ts'),
      verify: await measure('bench/servers/verify.ts'),
      relay: await measure('relay/main.ts', relayEnvironment(`sqlite:${join(folder, 'relay.db')}`)),
      postgres: await measure('relay/main.ts', relayEnvironment(postgresUrl)),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** GitHub is out of reach, as in an outage: intake goes on, and nothing else takes part in the figures. */
export function relayEnvironment(database: string): Record<string, string> {
  return {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: 'bench',
    GITHUB_API_URL: 'http://127.0.0.1:9',
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: database,
    HOST: '127.0.0.1',
    PORT: '0',
  }
}

async function measure(file: string, env: Record<string, string> = {}): Promise<Figures> {
  const server = await startServer(file, env)
  try {
    await load(server.url, WARM_UP)
    const figures = await load(server.url, COUNT)
    if (figures.accepted !== COUNT)
      throw new Error(`${file}: ${COUNT - figures.accepted} of ${COUNT} were not accepted`)
    return figures
  } finally {
    await stopServer(server)
  }
}
