import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { generate } from '../../cli/generate.ts'
import type { JsonObject } from '../../port/types.ts'
import { startPortApi } from '../../simulator/port/port.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

type Form = { properties: Record<string, JsonObject>; required: string[]; order: string[] }
type Action = JsonObject & { trigger: { userInputs: Form }; invocationMethod: JsonObject }
type Node = JsonObject & { identifier: string; config: JsonObject & { userInputs: Form; body: JsonObject } }
type PortWorkflow = JsonObject & { nodes: Node[]; connections: JsonObject[] }

/** A folder with workflows, and a fake Port that refuses what doesn't match Port's schema. */
async function openFolder(workflows: Record<string, string>) {
  const port = await startPortApi()
  onTestFinished(() => port.close())
  const folder = join(temporaryFolder(), 'workflows')
  mkdirSync(folder)
  const jobs = 'jobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }\n'
  const write = (name: string, on: string) => writeFileSync(join(folder, name), `on: ${on}\n${jobs}`)
  for (const [name, on] of Object.entries(workflows)) write(name, on)
  const env = {
    ...{ PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret },
    ...{ RELAY_PUBLIC_URL: 'https://r.acme.example', GITHUB_REPOSITORY: 'acme/shop' },
  }
  const call = async (args: string, ask?: () => Promise<boolean>) => {
    const paths = args.split(' ').map(each => (/\.yml$|^\.$/.test(each) ? join(folder, each) : each))
    port.clearRequests()
    const { stdout, stderr, code } = await run(generate, paths, env, undefined, ask)
    const sent = port.requests.filter(({ method, path }) => method !== 'GET' && !path.endsWith('token'))
    return {
      ...{ code, stdout: stdout.replaceAll(`${folder}/`, ''), stderr: stderr.replaceAll(`${folder}/`, '') },
      written: sent.map(({ method, path, status }) => `${method} ${path} ${status}`),
    }
  }
  const action = (name: string) => port.definitions.action.get(name) as Action
  const portWorkflow = (name: string) => port.definitions.workflow.get(name) as PortWorkflow
  return { port, folder, write, call, env, action, portWorkflow }
}

const manual = (inputs: string) => `{ workflow_dispatch: { inputs: { ${inputs} } } }`

test('--apply creates what is missing, and --check fails until then', async () => {
  const { call, portWorkflow } = await openFolder({
    ...{ 'ci.yml': 'push', 'deploy.yml': '{ repository_dispatch: { types: [deploy_service] } }' },
    'release.yml': manual('tag: { required: true }'),
  })
  const missing = await call('. --check')
  expect([missing.code, missing.written]).toEqual([1, []])
  expect(missing.stdout.split('\n')).toEqual([
    'The repository is acme/shop (GITHUB_REPOSITORY).',
    'deploy.yml: the action deploy_service is missing',
    '  + action deploy_service, with the inputs (none)',
    'release.yml: the action release is missing',
    '  + action release, with the inputs tag',
    '3 files: 1 skipped, 2 differs.',
  ])
  const { stdout, written } = await call('release.yml --apply --yes --format workflow')
  expect([stdout.split('\n').at(-1), written]).toEqual(['1 file: 1 created.', ['POST /v1/workflows 201']])
  const url = 'https://r.acme.example/webhook/acme/shop?workflow=release.yml'
  expect(portWorkflow('release').nodes[1]!.config).toMatchObject({
    ...{ synchronized: false, onTimeout: 'continue', url },
  })
  // Without --format, a Port workflow stays a Port workflow.
  const applied = await call('. --apply --yes --json')
  expect(JSON.parse(applied.stdout)).toMatchObject([
    { file: 'ci.yml', result: 'skipped' },
    { file: 'deploy.yml', result: 'created', format: 'action', identifier: 'deploy_service' },
    { file: 'release.yml', result: 'unchanged', format: 'workflow', differences: [] },
  ])
  expect([applied.code, applied.written]).toEqual([0, ['POST /v1/actions 201']])
  const stdoutThen = expect.stringMatching(/: 1 skipped, 2 unchanged\.$/)
  for (const args of ['. --check', '. --apply --yes'])
    expect(await call(args)).toMatchObject({ code: 0, written: [], stdout: stdoutThen })
})

test('--apply asks before it writes what the file says, and keeps the changes that users made in Port', async () => {
  const { port, call, write, action, portWorkflow } = await openFolder({
    'release.yml': manual('tag: {}, old: {}'),
  })
  const ofWorkflow = 'release.yml --apply --yes --format workflow --identifier release_flow'
  await call('release.yml --apply --yes --approval')
  await call(ofWorkflow)
  const query = { jqQuery: '.user.email' }
  Object.assign(action('release'), { title: 'Ours', requiredApproval: { type: 'ANY' } })
  action('release').trigger.userInputs.properties.tag!.default = query
  const slack: JsonObject = { identifier: 'slack', config: { type: 'WEBHOOK', url: 'https://s.example' } }
  portWorkflow('release_flow').folder = 'tools'
  portWorkflow('release_flow').nodes.push(slack as Node)
  portWorkflow('release_flow').connections.push({ sourceIdentifier: 'github', targetIdentifier: 'slack' })
  write('release.yml', manual('tag: { default: v1 }, count: { type: number, required: true }'))

  const no = vi.fn(async () => false)
  expect(await call('release.yml --apply --json', no)).toMatchObject({
    ...{ code: 1, written: [] },
    stderr: expect.stringContaining('  + trigger.userInputs.properties.count: '),
  })
  expect(no).toHaveBeenCalledWith(`Write this definition to Port (${new URL(port.url).host})?`)
  const applied = await call('release.yml --apply', async () => true)
  expect([applied.code, applied.written]).toEqual([0, ['PUT /v1/actions/release 200']])
  expect(applied.stdout.split('\n')).toEqual([
    'The repository is acme/shop (GITHUB_REPOSITORY).',
    'release.yml: the action release differs',
    '  - trigger.userInputs.properties.old: {"type":"string","title":"Old"}',
    '  + trigger.userInputs.properties.count: {"type":"number","title":"Count"}',
    '  ~ trigger.userInputs.required: [] → ["count"]',
    '  ~ trigger.userInputs.order: ["tag","old"] → ["tag","count"]',
    '1 file: 1 updated.',
  ])
  expect(action('release')).toMatchObject({
    ...{ title: 'Ours', requiredApproval: { type: 'ANY' } },
    trigger: { userInputs: { properties: { tag: { default: query } } } },
  })
  const flow = await call(ofWorkflow)
  expect(flow.stderr).toContain(
    "generate --apply doesn't send these settings: folder. Check them in Port after the update.",
  )
  expect([flow.code, flow.written]).toEqual([0, ['PUT /v1/workflows/release_flow 200']])
  const { nodes, version, connections } = portWorkflow('release_flow')
  expect([nodes[2], version, connections.length]).toEqual([{ ...slack, variables: {} }, 2, 2])
  expect(nodes[0]!.config.userInputs.properties).toMatchObject({ tag: { default: 'v1' }, count: {} })
})

test.each(['action', 'workflow'])(
  'a second --apply with --approval, --blueprint, and --operation changes nothing in the %s, and refuses other values',
  async format => {
    const { call } = await openFolder({ 'release.yml': manual('tag: {}') })
    const args = `release.yml --apply --yes --format ${format} --operation DAY-2 --approval --blueprint`
    expect((await call(`${args} service`)).written).toEqual([`POST /v1/${format}s 201`])
    expect(await call(`${args} service`)).toMatchObject({ code: 0, written: [] })
    const other = await call(`${args} cluster`)
    expect(other.stderr).toContain(`--blueprint can't change the existing ${format} release: change the`)
    expect([other.code, other.written]).toEqual([1, []])
  },
)

test('--check reports a node that fails if the response of the relay is late', async () => {
  const { call, portWorkflow } = await openFolder({ 'release.yml': manual('tag: {}') })
  await call('release.yml --apply --yes --format workflow')
  delete portWorkflow('release').nodes[1]!.config.onTimeout
  const { code, stdout } = await call('release.yml --check')
  expect(code).toBe(1)
  expect(stdout).toContain('  + nodes.github.config.onTimeout: "continue"')
})

test('--agent lets the agent deliver the webhook of an action or node; without --agent, the key agent stays unchanged', async () => {
  const { call, action, portWorkflow } = await openFolder({ 'release.yml': manual('tag: {}') })
  const ofWorkflow = 'release.yml --format workflow --identifier release_flow'
  for (const args of ['release.yml', ofWorkflow]) await call(`${args} --apply --yes`)
  const inside = '--agent --relay http://relay:8080'
  const changes = (path: string) => [
    `  ~ ${path}.url: "https://r.acme.example/webhook/acme/shop?workflow=release.yml" → "http://relay:8080/webhook/acme/shop?workflow=release.yml"`,
    `  ~ ${path}.agent: false → true`,
  ]
  const ofAction = await call(`release.yml --apply --yes ${inside}`)
  expect(ofAction.stdout.split('\n').slice(2, -1)).toEqual(changes('invocationMethod'))
  const ofNode = await call(`${ofWorkflow} --apply --yes ${inside}`)
  expect(ofNode.stdout.split('\n').slice(2, -1)).toEqual(changes('nodes.github.config'))
  expect([ofAction.written, ofNode.written].flat()).toEqual([
    'PUT /v1/actions/release 200',
    'PUT /v1/workflows/release_flow 200',
  ])
  for (const args of ['release.yml', ofWorkflow])
    for (const more of [inside, '--relay http://relay:8080'])
      expect(await call(`${args} --check ${more}`)).toMatchObject({ code: 0, written: [] })
  const created = await call(`release.yml --identifier new --apply --yes ${inside}`)
  expect([created.written, action('new').invocationMethod.agent]).toEqual([['POST /v1/actions 201'], true])
  expect(portWorkflow('release_flow').nodes[1]!.config.agent).toBe(true)
})

test("--agent needs an address, and refuses definitions that Port doesn't send to an agent that polls", async () => {
  const { call, action } = await openFolder({ 'release.yml': manual('tag: {}') })
  await call('release.yml --apply --yes')
  const { stderr, code } = await call('release.yml --check --agent')
  expect([code, stderr]).toEqual([2, expect.stringContaining('--relay http://relay:8080')])
  const check = () => call('release.yml --apply --yes --agent --relay http://relay:8080')
  Object.assign(action('release').trigger.userInputs.properties.tag!, { encryption: 'aes256-gcm' })
  const secret = await check()
  expect(secret.stderr).toContain("Port doesn't send the secret input tag to an agent that polls")
  delete action('release').trigger.userInputs.properties.tag!.encryption
  Object.assign(action('release').invocationMethod, { headers: { 'x-key': '{{ .secrets["KEY"] }}' } })
  const ofOrganization = await check()
  expect(ofOrganization.stderr).toContain("Port doesn't send the organization secrets (.secrets) to an agent")
  expect([secret, ofOrganization].map(({ code, written }) => [code, written])).toEqual([
    [1, []],
    [1, []],
  ])
})

test('--apply refuses conflicts and wrong arguments, and says why', async () => {
  const { port, call, action, env } = await openFolder({
    'a.yml': '{ repository_dispatch: { types: [deploy] } }',
    'b.yml': '{ repository_dispatch: { types: [deploy] } }',
    'c.yml': manual('tag: {}'),
    'd.yml': '{ workflow_dispatch: { inputs: { tag: {} } }, repository_dispatch: { types: [d] } }',
  })
  // The file has two events. The event of the definition in Port is kept.
  await call('d.yml --apply --yes --event repository_dispatch')
  expect(await call('d.yml --check')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching('d is unchanged'),
  })
  const conflict = await call('. --apply --yes')
  expect(conflict).toMatchObject({ code: 1, written: ['POST /v1/actions 201'] })
  expect(conflict.stderr).toContain(
    'a.yml: b.yml has the same identifier, deploy: pass only one of the files, or choose another identifier with --identifier.',
  )
  const refusals = {
    'c.yml --apply --yes --format workflow':
      'c.yml: Port has the action c: pass --format action to change it, or choose another --identifier.',
    'c.yml --apply --yes --approval --operation DELETE':
      "c.yml: --approval, --operation can't change the existing action c: change the action in Port.",
    'c.yml --apply --yes --identifier a*b':
      '422 to POST /v1/actions (invalid_request: The data provided does not match the route schema: /identifier must match pattern',
    'c.yml --apply': "--apply asks for confirmation, but this isn't a terminal: add --yes.",
    'c.yml --apply --check': 'Choose --check or --apply.',
    'a.yml c.yml': 'Several files need --check or --apply.',
  }
  for (const [args, message] of Object.entries(refusals))
    expect((await call(args)).stderr, args).toContain(message)
  action('c').trigger.userInputs.properties = {}
  const changed = await call('c.yml --apply', async () => {
    action('c').title = 'Changed in the meantime'
    return true
  })
  expect(changed).toMatchObject({ code: 1, written: [] })
  expect(changed.stderr).toContain('c.yml: The action c has just changed in Port: run the command again.')
  expect([...port.definitions.action.keys(), ...port.definitions.workflow.keys()]).toEqual(['d', 'c'])

  const without = async (name: string) =>
    (await run(generate, ['c.yml', '--check'], { ...env, [name]: '' })).stderr
  expect(await without('RELAY_PUBLIC_URL')).toContain("--check and --apply need the relay's address")
  expect(await without('PORT_CLIENT_ID')).toContain('PORT_CLIENT_ID is required')
})

test("in a clone, --apply refuses to change the definition of another repository's workflow", async () => {
  const { call, env, folder, write, action } = await openFolder({
    'deploy.yml': manual('a: {}, b: {}, c: {}'),
  })
  await call('deploy.yml --apply --yes --repository acme/other')
  write('deploy.yml', manual('a: {}'))
  Object.assign(env, { GITHUB_REPOSITORY: '' })
  const unknown = await call('deploy.yml --apply --yes')
  expect(unknown).toMatchObject({
    code: 1,
    written: [],
    stdout: expect.stringMatching(/^The repository is unknown/),
  })
  expect(unknown.stderr).toContain(
    'deploy starts deploy.yml in acme/other, not deploy.yml without a repository: ',
  )

  const git = (...args: string[]) => execFileSync('git', ['-C', folder, ...args], { stdio: 'ignore' })
  git('init')
  git('remote', 'add', 'origin', 'git@github.com:acme/shop.git')
  for (const args of ['deploy.yml --apply --yes', '. --check']) {
    const refused = await call(args)
    expect(refused).toMatchObject({ code: 1, written: [] })
    expect(refused.stdout).toContain('The repository is acme/shop (the Git remote origin).')
    expect(refused.stderr).toContain('deploy starts deploy.yml in acme/other, not deploy.yml in acme/shop: ')
  }
  expect(Object.keys(action('deploy').trigger.userInputs.properties)).toEqual(['a', 'b', 'c'])
  expect(await call('deploy.yml --apply --yes --repository acme/other')).toMatchObject({
    ...{ code: 0, written: ['PUT /v1/actions/deploy 200'] },
    stdout: expect.stringContaining('The repository is acme/other (--repository).'),
  })
})

test.each([
  ['origin https://github.com/acme/shop', '/acme/shop'],
  ['origin https://x-access-token:t0ken@github.com/acme/shop.js.git', '/acme/shop.js'],
  [
    'origin ssh://git@ssh.github.com:443/acme/shop.git, backup https://git.example/acme/shop.git',
    '/acme/shop',
  ],
  ['origin https://acme.ghe.com/acme/shop.git', '/acme/shop'],
  ['origin git@ghes.example:acme/shop.git', '/acme/shop'],
  ['origin https://github.com.evil.example/acme/shop.git', ''],
  ['origin git@github.com:me/shop.git, upstream git@github.com:acme/shop.git', ''],
  ['upstream git@github.com:acme/shop.git', ''],
  ['origin ../shop.git', ''],
  ['', ''],
])(
  'in a clone with the remotes %j, generate prints a webhook to the repository %j',
  async (remotes, repository) => {
    const { folder, call, env } = await openFolder({ 'a.yml': manual('tag: {}') })
    Object.assign(env, { GITHUB_REPOSITORY: '', GITHUB_API_URL: 'https://ghes.example/api/v3' })
    execFileSync('git', ['init', folder], { stdio: 'ignore' })
    for (const remote of remotes.split(', ').filter(Boolean))
      execFileSync('git', ['-C', folder, 'remote', 'add', ...remote.split(' ')])
    const { url } = JSON.parse((await call('a.yml')).stdout).invocationMethod
    expect(url).toBe(`https://r.acme.example/webhook${repository}?workflow=a.yml`)
  },
)

test("--apply refuses a workflow that GitHub's parser rejects, and still applies the others; with --allow-invalid, it applies all", async () => {
  const { call, write, action, port } = await openFolder({
    'good.yml': manual('tag: {}'),
    'rejected.yml': manual('tags: { type: array }'),
  })
  const reason = "rejected.yml: GitHub's parser rejects the workflow: rejected.yml (Line: 1"
  const refused = await call('. --apply --yes')
  expect(refused).toMatchObject({ code: 1, written: ['POST /v1/actions 201'] })
  expect(refused.stderr).toContain(reason)
  expect(refused.stderr).toMatch(/Line: 1, .*'array'\. Correct the file, or pass --allow-invalid/)
  expect([...port.definitions.action.keys()]).toEqual(['good'])
  expect((await call('. --check')).stdout).toMatch(/: 1 unchanged, 1 refused\.$/)
  const allowed = await call('. --apply --yes --allow-invalid')
  expect(allowed).toMatchObject({ code: 0, written: ['POST /v1/actions 201'] })
  expect(allowed.stderr).toContain(reason)

  // The form keeps an existing input, although the relay would fill this input.
  write('good.yml', manual('tag: {}, port-run-id: {}'))
  const { properties } = action('good').trigger.userInputs
  properties['port-run-id'] = { type: 'string', title: 'Run' }
  await call('good.yml --apply --yes')
  expect(Object.keys(action('good').trigger.userInputs.properties)).toEqual(['tag', 'port-run-id'])
})
