import { until } from '../../simulator/http-server.ts'
import { readRun } from './read-run.ts'

const [line = '', runId = ''] = process.argv.slice(2)
const { URL: url = '', CLIENT_ID: clientId = '', CLIENT_SECRET: clientSecret = '' } = process.env
await until(
  async () => (await readRun(url, { clientId, clientSecret }, runId)).lines.includes(line),
  `Port's log has the line "${line}"`,
  60_000,
)
