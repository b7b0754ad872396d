/**
 * `node bench/lambda.ts`: measures fifteen cold starts of the AWS Lambda bundle, each from the process's start to its
 * first response. That response requires a PostgreSQL query. Run `npm run build` first.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { toEvent } from '../test/lambda/gateway.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { spread } from './statistics.ts'

const root = join(import.meta.dirname, '..')
const postgres = await startPostgres()
const env = {
  PORT_CLIENT_SECRET: 'secret',
  GITHUB_TOKEN: 'none',
  RELAY_REPOSITORY: 'acme/shop',
  RELAY_DATABASE: await postgres.createDatabase(),
  LOG_LEVEL: 'error',
  BUNDLE: join(root, 'relay/dist/lambda/index.mjs'),
  TIMEOUT_MS: '30000',
}
const request = { url: '/readyz', method: 'GET', headers: {} }
const event = JSON.stringify(toEvent(request, Buffer.alloc(0), { shape: 'function URL' }))
const invocation = join(root, 'test/lambda/run-invocation.ts')
const runs = Array.from({ length: 15 }, () => {
  const printed = execFileSync(process.execPath, [invocation, event], { env, encoding: 'utf8' })
  const { response, ms, cpuMs } = JSON.parse(printed)
  if (response.statusCode !== 200)
    throw new Error(`The function responded with ${response.statusCode}: ${response.body}`)
  return { ms, cpuMs }
})
await postgres.close()
const median = (values: number[]) => Math.round(spread(values).median)
console.log(
  `cold start: ${median(runs.map(({ ms }) => ms))} ms, of which ${median(runs.map(({ cpuMs }) => cpuMs))} ms of processor; the fastest ${Math.round(Math.min(...runs.map(({ ms }) => ms)))} ms`,
)
