/**
 * `npm run docs [-- PAGE…]`: runs every page's commands in a clean clone of the last commit, against the fake Port and
 * GitHub. `<!-- not run: WHY -->` skips the next block. `<!-- first: COMMAND -->` runs a command before the next block.
 * If the first line of a YAML block is a comment with a path, the block is written to this path, for the commands that
 * follow. Each webhook body on a page is passed to `send --dry-run`, which must read the documented values.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { startRelay } from '../demo/start-relay.ts'
import { parseJson } from '../port/text.ts'
import { isObject, type JsonObject } from '../port/types.ts'
import { startGitHubApi } from '../simulator/github/github.ts'
import { startOidcIssuer } from '../simulator/github/oidc-issuer.ts'
import { keepPort } from '../simulator/keep-port.ts'
import { startPortApi } from '../simulator/port/port.ts'
import { blocks, pages, root, text } from '../test/docs/pages.ts'
import { ALERT_SECRET, openAlertEndpoint } from '../test/support/alert-endpoint.ts'
import { send } from '../test/support/requests.ts'
import { renderBody } from '../workflow-files/render-body.ts'

const LIMIT_MS = 900_000
/** A command that runs until it is stopped. */
const SERVES = /^(npx port-webhook-relay|npx node relay\/main\.ts|npm start) *(#.*)?$/

/** The context in which a body's expressions are rendered. */
const CONTEXT: JsonObject = {
  run: { id: 'r_Q0YotCZMKxDLdlaU' },
  action: { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['token'] },
  inputs: { service: 'shop', version: '1.4.2', token: 'aGVsbG8=' },
  trigger: { by: { user: { email: 'ada@acme.example' } }, origin: 'UI', operation: 'CREATE' },
}

const folder = mkdtempSync(join(tmpdir(), 'docs-'))
const clone = join(folder, 'clone')
const say = (line: string) => process.stdout.write(`${line}\n`)
const run = (command: string, cwd: string) =>
  execFileSync('bash', ['-euo', 'pipefail', '-c', command], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })

const [port, github, issuer, alerts, listen] = await Promise.all([
  startPortApi(),
  startGitHubApi(),
  startOidcIssuer(),
  openAlertEndpoint(),
  keepPort(),
])
const workflows = [
  {
    path: '.github/workflows/deploy.yml',
    name: 'Deploy service',
    eventTypes: ['deploy_service', 'deploy', 'port_action'],
  },
]
for (const name of ['acme/shop', 'acme/web']) github.addRepository(name, { workflows })
const relayUrl = `http://127.0.0.1:${listen}`
const settings = {
  PORT_API_URL: port.url,
  PORT_CLIENT_ID: port.clientId,
  PORT_CLIENT_SECRET: port.clientSecret,
  GITHUB_API_URL: github.url,
  GITHUB_TOKEN: github.token,
  GITHUB_OIDC_ISSUER: issuer.url,
  RELAY_REPOSITORY: 'acme/shop',
  RELAY_ALLOWED_REPOSITORIES: 'acme/*',
  RELAY_ADMIN_TOKEN: 'an admin token of this script',
  RELAY_PUBLIC_URL: relayUrl,
  RELAY_ALERT_URL: alerts.url,
  RELAY_ALERT_SECRET: ALERT_SECRET,
  RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}`,
  HOST: '127.0.0.1',
}
// Runs before the relay starts, because the synchronous commands in prepare() block the fakes.
prepare()
const relay = await startRelay({ ...settings, PORT: String(listen) }, folder, () => {})
let failures = 0
try {
  const asked = process.argv.slice(2)
  for (const page of pages.filter(each => asked.length === 0 || asked.includes(each))) {
    for (const body of bodies(page)) tryBody(page, body)
    const files: Record<string, string> = {}
    for (const block of shellBlocks(page)) {
      if ('path' in block) files[block.path] = block.content
      else await tryBlock(page, block, files)
    }
  }
} finally {
  await relay.stop()
  alerts.stop()
  await Promise.all([port.close(), github.close(), issuer.close()])
  rmSync(folder, { recursive: true, force: true })
}
say(failures === 0 ? 'Every command that can run here succeeded.' : `${failures} blocks failed.`)
process.exitCode = failures === 0 ? 0 : 1

/** Creates a clean clone with a team's typical workflows, and installs the npm package for `npx port-webhook-relay`. */
function prepare(): void {
  run(`git clone --quiet '${root}' '${clone}'`, folder)
  say('In a clean clone: npm ci, npm run build, npm pack')
  run('npm ci --no-audit --no-fund && npm run build', clone)
  run(`npm pack --pack-destination '${folder}'`, join(clone, 'relay/dist'))
  mkdirSync(join(folder, 'package'))
  run('npm install --offline --no-audit --no-fund ../port-webhook-relay-*.tgz', join(folder, 'package'))
  mkdirSync(join(folder, 'bin'))
  const cli = join(folder, 'package/node_modules/port-webhook-relay/cli.js')
  const npx = execFileSync('which', ['npx'], { encoding: 'utf8' }).trim()
  const shim = `#!/bin/sh\nif [ "$1" = port-webhook-relay ]; then shift; exec '${process.execPath}' '${cli}' "$@"; fi\nexec '${npx}' "$@"\n`
  writeFileSync(join(folder, 'bin/npx'), shim)
  chmodSync(join(folder, 'bin/npx'), 0o755)
  cpSync(join(root, 'examples/deploy-oidc/deploy.yml'), join(clone, '.github/workflows/deploy.yml'))
  cpSync(join(root, 'examples/existing-workflow/release.yml'), join(clone, '.github/workflows/release.yml'))
  cpSync(join(root, 'examples/deploy/port-action.full-context.json'), join(clone, 'port-action.json'))
  const exported = JSON.parse(text('examples/existing-workflow/port-action.json'))
  exported.invocationMethod = { type: 'GITHUB', org: 'acme', repo: 'shop', workflow: 'release.yml' }
  writeFileSync(join(clone, 'action.json'), JSON.stringify(exported))
  const event = blocks('docs/action.md').find(({ language }) => language === 'json')!.content
  writeFileSync(join(clone, 'event.json'), event)
  writeFileSync(
    join(clone, 'body.json'),
    JSON.stringify({ action: { identifier: 'deploy' }, inputs: {}, trigger: {} }),
  )
}

/** Returns a page's webhook bodies, from JSON blocks and from scripts, as Port renders them. */
function bodies(page: string): JsonObject[] {
  const texts = blocks(page).flatMap(({ language, content }) =>
    language === 'json' ? [content] : [...content.matchAll(/^body='(.*)'$/gm)].map(([, body]) => body!),
  )
  return texts
    .map(each => renderBody(parseJson(each) ?? null, CONTEXT))
    .filter(isObject)
    .filter(each => isObject(each.action) && isObject(each.inputs))
}

function tryBody(page: string, body: JsonObject): void {
  writeFileSync(join(folder, 'body.json'), JSON.stringify(body))
  const command = ['cli/main.ts', 'send', join(folder, 'body.json'), '--dry-run', '--json']
  const env = { ...process.env, ...settings }
  const shown = JSON.parse(execFileSync(process.execPath, command, { cwd: clone, env, encoding: 'utf8' }))
  const { action, run_id, port: payload } = shown.request.body.client_payload
  const read = { inputs: shown.inputs, action, run_id, encrypted: payload.encrypted }
  const { run, action: named, inputs } = body as Record<string, JsonObject>
  const said = {
    ...{ inputs, action: named?.identifier, run_id: run?.id ?? null },
    encrypted: named?.encryptedProperties ?? [],
  }
  const isRead = isDeepStrictEqual(read, said)
  if (!isRead) failures += 1
  say(`${isRead ? '✓' : '✗'} ${page}: the body ${JSON.stringify(body).slice(0, 60)}…`)
  if (!isRead) say(`    states ${JSON.stringify(said)}\n    but is read as ${JSON.stringify(read)}`)
}

interface ShellBlock {
  commands: string
  skipped?: string
  first?: string
}

/** Returns a page's commands, and the files for these commands, in the page's order. */
function shellBlocks(page: string): (ShellBlock | { path: string; content: string })[] {
  const found = text(page).matchAll(
    /(?:^ *<!-- (not run|first): (.*) -->\n\n)?^( *)```(?:sh|yaml\n# (\S+\.yml))\n([\s\S]*?)^ *```$/gm,
  )
  return [...found].map(([, kind, what, indent, path, block]) => {
    const content = block!.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
    if (path) return { path, content }
    return { commands: content, ...(kind && { [kind === 'first' ? 'first' : 'skipped']: what }) }
  })
}

async function tryBlock(
  page: string,
  { commands, skipped, first = '' }: ShellBlock,
  files: Record<string, string>,
): Promise<void> {
  const title = `${page}: ${commands.split('\n')[0]!.replace(/ +#.*/, '')}`
  if (skipped) {
    say(`– ${title} (${skipped})`)
    return
  }
  const place = mkdtempSync(join(folder, 'block-'))
  // Not cpSync, which would block the fakes.
  await cp(clone, place, { recursive: true, filter: file => !/\/(node_modules|\.git)$/.test(file) })
  for (const [path, content] of Object.entries(files)) writeFileSync(join(place, path), content)
  // A block that starts with `npm ci` installs its own packages.
  if (!/^npm ci/m.test(commands)) symlinkSync(join(clone, 'node_modules'), join(place, 'node_modules'))
  let script = commands
    .replaceAll('https://relay.example.com', relayUrl)
    .replaceAll(/--apply$/gm, '--apply --yes')
    .replaceAll(/^export \w+=….*\n/gm, '')
  if (/\bID\b|[\da-f]{8}-[\da-f]{4}-/.test(script)) {
    const id = await failedDelivery()
    script = script.replaceAll(/\bID\b|[\da-f]{8}-[\da-f-]{27}/g, id)
  }
  const parts = script.split('\n')
  const serving = parts.filter(line => SERVES.test(line))
  const rest = parts.filter(line => !SERVES.test(line)).join('\n')
  const problem = (await runScript(`${first}\n${rest}`, place)) ?? (await serve(serving, place))
  if (problem) failures += 1
  say(problem ? `✗ ${title}\n${problem.trim().replaceAll(/^/gm, '    ')}` : `✓ ${title}`)
  rmSync(place, { recursive: true, force: true })
}

/** @returns the exit code and output if the script failed, otherwise null */
async function runScript(script: string, cwd: string): Promise<string | null> {
  const { child, printed } = start(['bash', '-euo', 'pipefail', '-c', script], cwd)
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const [code] = await once(child, 'close')
  clearTimeout(limit)
  return code === 0 ? null : `exit code ${code}\n${printed()}`
}

/** Starts each server command, and stops the server once it listens. */
async function serve(commands: string[], cwd: string): Promise<string | null> {
  for (const command of commands) {
    const database = `sqlite:${join(cwd, 'served.db')}`
    const { child, printed } = start(['bash', '-c', `exec ${command}`], cwd, {
      PORT: '0',
      RELAY_DATABASE: database,
    })
    const listening = createInterface(child.stdout!)
    const closed = once(child, 'close')
    const heard = (async () => {
      for await (const line of listening) {
        const [, pid] = /"pid":(\d+).*"msg":"listening"/.exec(line) ?? []
        if (pid) return Number(pid)
      }
      return null
    })()
    const pid = await Promise.race([heard, sleep(30_000, null)])
    if (pid === null) {
      child.kill('SIGKILL')
      return `the command does not listen\n${printed()}`
    }
    process.kill(pid, 'SIGTERM')
    await closed
  }
  return null
}

function start([command, ...args]: string[], cwd: string, more: Record<string, string> = {}) {
  const { HOME = '', PATH = '' } = process.env
  const appended = Object.fromEntries(
    ['PORT_LOG', 'PORT_ENTITIES', 'PORT_RUN'].map(name => [name, join(cwd, name)]),
  )
  // This machine's npm settings are required to install packages.
  const ofNpm = Object.entries(process.env).filter(([name]) =>
    /^npm_config_|^NODE_EXTRA_CA_CERTS$/i.test(name),
  )
  const env = {
    ...Object.fromEntries(ofNpm),
    ...settings,
    ...appended,
    HOME,
    PATH: `${join(folder, 'bin')}:${PATH}`,
    PORT: String(listen),
    ...more,
  }
  const child = spawn(command!, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (printed += chunk))
  return { child, printed: () => printed }
}

/** Makes a delivery fail because its repository is missing, then adds the repository. @returns the delivery's id */
async function failedDelivery(): Promise<string> {
  const repository = `acme/new-${github.requests.length}`
  const { body } = await send(relayUrl, { path: `/webhook/${repository}`, secret: port.clientSecret })
  const id = String(body.delivery)
  const headers = { authorization: `Bearer ${settings.RELAY_ADMIN_TOKEN}` }
  for (let state = ''; state !== 'failed'; await sleep(50)) {
    ;({ state } = (await (await fetch(`${relayUrl}/api/deliveries/${id}`, { headers })).json()) as {
      state: string
    })
  }
  github.addRepository(repository, { workflows })
  return id
}
