import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { simulate } from '../cli/simulate.ts'
import type { JsonObject } from '../port/types.ts'
import { temporaryFolder } from './support/relay.ts'
import { run } from './support/run-command.ts'

export const ROOT = join(import.meta.dirname, '..')
export const RUN_ID = 'r_Q0YotCZMKxDLdlaU'

/** The body that Port renders from the recommended body. */
export const BODY: JsonObject = {
  run: { id: RUN_ID },
  action: { identifier: 'deploy_service', blueprint: 'service' },
  inputs: { version: '1.4.2', replicas: 2 },
  entity: { identifier: 'shop' },
  trigger: { by: { user: { email: 'ada@acme.example' } }, origin: 'UI', operation: 'DAY-2' },
}

/** A step that uses the action with credentials under custom names. */
export const USES = `
      - uses: acme/port-webhook-action@v1
        id: port
        with:
          port-client-id: \${{ vars.MY_PORT_ID }}
          port-client-secret: \${{ secrets.MY_PORT_SECRET }}`

/** Returns a workflow with these steps in its only job. */
export const workflow = (steps: string, on = 'repository_dispatch: { types: [deploy_service] }') => `
name: Deploy
on: { ${on} }
permissions: { actions: read }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${steps}
`

/** Creates the user's folder. */
export function openSimulationFolder(files: Record<string, string | JsonObject> = {}) {
  const place = temporaryFolder()
  const [cwd, temp] = [join(place, 'repository'), join(place, 'temp')]
  mkdirSync(temp)
  for (const [name, content] of Object.entries({ 'event.json': BODY, ...files })) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true })
    writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content))
  }

  const simulated = (code: number | null, output: string, errors: string) => ({
    code,
    lines: steady(output).split('\n'),
    errors,
    left: readdirSync(temp).filter(name => !name.startsWith('node-compile-cache')),
  })
  return {
    cwd,
    place,
    /** Starts the command as a user does: with npm, from the user's folder. */
    startByNpm(...args: string[]) {
      const env = { PATH: process.env.PATH, HOME: place, TMPDIR: temp }
      const command = ['run', '--silent', '--prefix', ROOT, 'simulate', '--', ...args]
      const child = spawn('npm', command, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
      onTestFinished(() => {
        if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
      })
      const output = { stdout: '', stderr: '' }
      child.stdout.on('data', chunk => (output.stdout += chunk))
      child.stderr.on('data', chunk => (output.stderr += chunk))
      const ended = once(child, 'close').then(([code]) => simulated(code, output.stdout, output.stderr))
      return { child, ended }
    },
    /** Runs the command in this process, with the environment that npm sets. */
    async simulate(...args: string[]) {
      const env = { npm_lifecycle_event: 'simulate', INIT_CWD: cwd, HOME: place, TMPDIR: temp }
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
      onTestFinished(() => void vi.unstubAllEnvs())
      const { code, stdout, stderr } = await run(simulate, args)
      return simulated(code, stdout, stderr)
    },
  }
}

/** Removes values that differ between runs. */
const steady = (text: string) =>
  text
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'http://github')
    .replaceAll(/runs\/\d+/g, 'runs/1')
    .replaceAll(/\b[\d.]+ s\b/g, 'N s')
    .trimEnd()

/** Simulates this workflow, deploy.yml, for the event {@link BODY}. */
export const simulateWorkflow = (yaml: string, ...args: string[]) =>
  openSimulationFolder({ 'deploy.yml': yaml }).simulate(...DEPLOY, ...args)

/** The arguments that simulate deploy.yml. */
export const DEPLOY = ['--event', 'event.json', '--workflow', 'deploy.yml']

/** The lines from the line `first`. */
export const linesFrom = (lines: string[], first: string, count = lines.length) =>
  lines.slice(lines.indexOf(first)).slice(0, count)
