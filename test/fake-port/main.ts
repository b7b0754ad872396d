import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

const runId = process.env['INPUT_RUN-ID']!
const serve = join(import.meta.dirname, 'serve.ts')
const server = spawn(process.execPath, [serve, runId], {
  detached: true,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const [line] = await once(server.stdout, 'data')
const { url, clientId, clientSecret } = JSON.parse(line)
const lines = `url=${url}\nclient-id=${clientId}\nclient-secret=${clientSecret}\nrun-id=${runId}\n`
for (const file of [process.env.GITHUB_OUTPUT!, process.env.GITHUB_STATE!]) appendFileSync(file, lines)
// The server keeps running after this step.
process.exit()
