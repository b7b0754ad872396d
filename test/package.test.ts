import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acts } from '../demo/acts.ts'
import { startSystem } from '../demo/open-system.ts'
import { runAct } from '../demo/run-act.ts'
import { startGitHubApi } from '../simulator/github/github.ts'
import { until } from '../simulator/http-server.ts'
import { builtRelay } from './support/built-relay.ts'
import { openRelayHere, relayEnv } from './support/relay.ts'
import { SECRET } from './support/requests.ts'

const exec = promisify(execFile)
const root = join(import.meta.dirname, '..')

/** A folder that contains only the installed package. */
let place: string
let cli: string
let packed: string[]
const installed = () => join(place, 'node_modules/port-webhook-relay')

beforeAll(async () => {
  const folder = await builtRelay()
  place = mkdtempSync(join(tmpdir(), 'relay-package-'))
  const { stdout } = await exec('npm', ['pack', '--json', '--pack-destination', place], { cwd: folder })
  const [{ filename, files }] = JSON.parse(stdout)
  packed = files.map(({ path }: { path: string }) => path)
  const quiet = ['--offline', '--no-audit', '--no-fund', '--engine-strict=false']
  await exec('npm', ['install', `./${filename}`, ...quiet], { cwd: place })
  cli = join(place, 'node_modules/.bin/port-webhook-relay')
}, 180_000)
afterAll(() => rmSync(place, { recursive: true, force: true }))

/** Runs the installed command in the folder, with a separate environment. */
async function run(args: string[], env: Record<string, string> = {}) {
  const child = exec(process.execPath, [cli, ...args], { cwd: place, env })
  const { stdout, stderr, code } = await child.then(
    output => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  )
  return { stdout, stderr, code }
}

test('the package contains bundle, README, licenses, and deployment files, and has no dependencies', () => {
  const isBundle = (file: string) => /^[\w-]+(\.index)?\.js$/.test(file) || file.startsWith('simulator/')
  expect(packed.filter(file => !isBundle(file)).sort()).toEqual([
    ...[
      'LICENSE',
      'README.md',
      'THIRD_PARTY_LICENSES',
      'deploy/compose.agent.yml',
      'deploy/compose.postgres.yml',
      'deploy/compose.yml',
    ],
    ...['deploy/grafana-dashboard.json', 'deploy/kubernetes/relay.yaml'],
    ...['deploy/kubernetes/secret.example.yaml', 'deploy/prometheus-alerts.yml', 'deploy/relay.env.example'],
    ...['deploy/systemd/port-webhook-relay.service', 'package.json'],
  ])
  const packages = readdirSync(join(place, 'node_modules')).filter(name => !name.startsWith('.'))
  expect(packages).toEqual(['port-webhook-relay'])
  const manifest = JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8'))
  const { version, license, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(manifest).toMatchObject({ version, license, repository })
  for (const none of ['private', 'dependencies', 'scripts']) expect(manifest).not.toHaveProperty(none)
})

test('the license file lists every bundled package with its license text', () => {
  const notices = (folder: string) => {
    const file = readFileSync(join(folder, 'THIRD_PARTY_LICENSES'), 'utf8')
    return file.split(/^-{80}$/m).map(notice => notice.trim())
  }
  const [ofRelay, ofAction] = [notices(installed()), notices(join(root, 'action/dist'))]
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies).filter(each => each !== 'node')) {
    const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'))
    const notice = `^${name} ${version} [^]*(?:copyright|Apache License)`
    expect(ofRelay).toContainEqual(expect.stringMatching(notice))
  }
  expect(ofRelay).toEqual(expect.arrayContaining(ofAction))
  expect(ofAction.join()).not.toContain('hono')
})

test('the installed command simulates a workflow with the bundled action', async () => {
  const event = { run: { id: 'r_1' }, inputs: { version: '1.4.2' } }
  writeFileSync(join(place, 'event.json'), JSON.stringify(event))
  const args = ['simulate', '--event', 'event.json', '--json']
  const { stdout, stderr, code } = await run(args, { PATH: process.env.PATH! })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const log = expect.arrayContaining([expect.stringMatching(/^✓ Job simulation: success/)])
  expect(JSON.parse(stdout)).toMatchObject({
    conclusion: 'success',
    port: { id: 'r_1', status: 'SUCCESS', log },
  })
})

const none = { start() {}, add() {}, print() {} }

test.each([
  ['by repository_dispatch, with Port credentials in the workflow', 'deploy/', false],
  ['by workflow_dispatch, without Port credentials in the workflow', 'existing-workflow/', true],
])('the installed relay completes a Port run %s', async (_how, example, oidc) => {
  const act = acts.find(({ action, status }) => action.startsWith(example) && status === 'SUCCESS')!
  const system = await startSystem({ oidc, settings: {}, onLog: () => {}, entry: cli })
  try {
    expect(await runAct(act, system, none, new AbortController().signal)).toEqual([])
    expect(existsSync(join(system.folder, 'relay.db'))).toBe(true)
  } finally {
    await system.close()
  }
})

describe('in the installed package,', () => {
  test('every command prints its help, and the first start creates the compile cache', async () => {
    const { stdout } = await run(['--help'])
    const names = [...stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name!)
    expect(names.length).toBeGreaterThan(7)
    const helps = await Promise.all(names.map(name => run([name, '--help'])))
    expect(helps.map(help => [help.code, help.stdout.split(' ')[1]])).toEqual(names.map(name => [0, name]))
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
    expect(readdirSync(installed())).toContain('compile-cache')
  })

  test.each(['20.19.4', '24.14.1'])(
    'the command on Node %s names the version that it needs',
    async version => {
      const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
      const args = ['--import', `data:text/javascript,${encodeURIComponent(older)}`, cli, '--version']
      const { stderr } = await exec(process.execPath, args, { cwd: place, env: {} }).catch(error => error)
      expect(stderr).toContain(`port-webhook-relay needs Node 24.15 or newer, and this is Node ${version}.`)
    },
  )

  test('send, deliveries, redeliver, and cancel work on a relay', async () => {
    const github = await startGitHubApi()
    const RELAY_ADMIN_TOKEN = 'an admin token of this test'
    const GITHUB = { GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token }
    const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN, ...GITHUB }))
    const env = { RELAY_ADMIN_TOKEN, PORT_CLIENT_SECRET: SECRET, PORT: new URL(relay.url).port }
    expect(await run(['send', '--action', 'deploy'], env)).toMatchObject({ code: 0 })
    let id = ''
    await until(async () => {
      const { stdout } = await run(['deliveries', '--state', 'failed', '--json'], env)
      id = JSON.parse(stdout).deliveries[0]?.delivery ?? ''
      return id
    }, 'the delivery has failed, since there is no such repository')
    github.addRepository('acme/shop')
    expect(await run(['redeliver', id], env)).toMatchObject({ code: 0 })
    await until(() => github.dispatches.length === 1, 'the delivery is dispatched')
    expect(await run(['cancel', id], env)).toMatchObject({ code: 0 })
    await github.close()
  })
})
