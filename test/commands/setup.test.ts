import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { runCommand } from '../../cli/command.ts'
import { doctor } from '../../cli/doctor.ts'
import { setup } from '../../cli/setup.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { until } from '../../simulator/http-server.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const RELAY = `https://${'relay-'.repeat(10)}.acme.example`

afterEach(() => vi.useRealTimers())

/** Starts the command against a fake Enterprise Server, and resolves once the command serves its page. */
async function openSetup(...more: string[]) {
  const github = await startGitHubApi({ enterprise: true })
  onTestFinished(() => github.close())
  const file = join(temporaryFolder(), "the App's", 'github-app.env')
  mkdirSync(dirname(file))
  const [stop, lines, notes]: [AbortController, string[], string[]] = [new AbortController(), [], []]
  const output = {
    print: (line: string) => void lines.push(line),
    note: (line: string) => void notes.push(line),
    color: (_: string, text: string) => text,
    signal: stop.signal,
  }
  const args = ['github', '--url', RELAY, '--server', github.serverUrl, '--output', file, ...more]
  const done = runCommand(setup, {}, args, output)
  onTestFinished(async () => {
    stop.abort()
    await done
  })
  await until(() => lines.length > 0, 'the command serves its page')
  const address = lines[0]!.replace('Open this page in your browser: ', '')
  const { origin } = new URL(address)
  return { github, file, done, lines, notes, address, origin, stop }
}

type Setup = Pick<Awaited<ReturnType<typeof openSetup>>, 'github' | 'address'>

async function newState({ address }: Setup) {
  const form = await (await fetch(address)).text()
  const [, action, state] = /action="([^"]*\?state=(\w{64}))"/.exec(form)!
  const [, manifest] = /name="manifest" value="([^"]*)"/.exec(form)!
  return { action: action!, state: state!, manifest: manifest!.replaceAll('&quot;', '"') }
}

/** Creates the App through GitHub's pages. Returns the URL to which GitHub redirects the browser. */
async function createOnGitHub(setup: Setup) {
  const { action, manifest } = await newState(setup)
  const post = (url: string, fields: Record<string, string>) =>
    fetch(url, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
  const shown = await (await post(action, { manifest })).text()
  const [code, back] = ['code', 'back'].map(
    name => new RegExp(`name="${name}" value="([^"]*)"`).exec(shown)![1]!,
  )
  const fields = { code: code!, manifest, back: back!.replaceAll('&amp;', '&') }
  const created = await post(`${setup.github.serverUrl}/settings/apps/created`, fields)
  return new URL(created.headers.get('location')!)
}

test('creates an App and writes its credentials, with which doctor finds no problem except the missing installation', async () => {
  const opened = await openSetup('--organization', 'acme', '--for', 'kubectl')
  expect((await newState(opened)).action).toContain('/organizations/acme/settings/apps/new')
  const { github, file, done, lines } = opened
  github.addRepository('acme/shop')
  const page = await (await fetch(await createOnGitHub(opened))).text()
  const link = /href="([^"]*)">Install it on your repositories/.exec(page)?.[1]
  expect(link).toMatch(new RegExp(`^${github.serverUrl}/apps/[\\w-]+/installations/new$`))
  expect(await done).toBe(0)
  expect(lines[1]).toMatch(/^Written: .* \(only you can read it\)\. Start the relay with these variables/)
  expect(lines.at(-1)).toBe(`Install the App on your repositories: ${link}`)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const env = parseEnv(readFileSync(file, 'utf8')) as Record<string, string>
  const { stdout } = await run(doctor, ['--json'], {
    ...{ ...env, PORT_CLIENT_SECRET: 'secret', RELAY_REPOSITORY: 'acme/shop', PORT: '2' },
    ...{ RELAY_ADMIN_TOKEN: 'a-token-of-some-length', RELAY_DATABASE: `sqlite:${file}.db` },
  })
  const { findings } = JSON.parse(stdout) as { findings: { status: string; sentence: string }[] }
  const wrong = findings.filter(({ status, sentence }) => status !== 'ok' && !/ isn't set: /.test(sentence))
  expect(wrong.map(({ sentence }) => sentence)).toEqual([
    expect.stringMatching(/^The relay's GitHub App isn't installed on acme\/shop \(404: Not Found\)/),
  ])
  expect(JSON.stringify(lines)).not.toContain(env.GITHUB_WEBHOOK_SECRET)
})

const PEM = generateKeyPairSync('rsa', {
  ...{ modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' } },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
}).privateKey
const APP = { id: 7, pem: PEM, webhook_secret: 'a1b2', html_url: 'https://git.example.com/apps/x' }

test('accepts each state and code once within an hour, and refuses requests from other sites', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const opened = await openSetup()
  const { github, done, notes, origin, file } = opened
  const refusal = async (url: URL | string) => {
    const response = await fetch(url)
    expect(response.status).toBe(400)
    return notes.at(-1)
  }
  const unknown = 'This page was used before, or you came from another page.'
  const refused = expect.stringMatching(
    /^GitHub rejects the one-time code for creating the App \(404\): the code was used before, or is older/,
  )

  expect(await refusal(`${origin}/created?code=x`)).toBe(unknown)
  const back = await createOnGitHub(opened)
  vi.setSystemTime(Date.now() + 70 * 60_000)
  expect(await refusal(back)).toEqual(refused)
  expect(await refusal(back)).toBe(unknown)
  // Requests from a site whose name resolves to this machine, or from another user of this machine.
  for (const url of [origin, `${origin}/?token=`]) {
    const other = await fetch(url)
    expect([other.status, (await other.text()).includes('state')]).toEqual([403, false])
  }

  const left = 'The App may exist on GitHub, but its credentials are lost: delete it there, and start again.'
  for (const [failure, reason] of [
    [{ cut: 'before' }, "GitHub can't be reached at http"],
    [{ status: 502 }, "GitHub responded with 502, without the App's credentials: check --server."],
    ...[
      { webhook_secret: 'a\nNODE_OPTIONS=--require=/tmp/x' },
      { pem: `${PEM}\nNODE_OPTIONS=--require=/tmp/x` },
      { html_url: 'javascript:alert(1)' },
      { id: '1\nA=b' },
    ].map(changes => [{ status: 201, body: { ...APP, ...changes } }, 'GitHub responded with 201'] as const),
  ] as const) {
    github.fail({ match: ({ path }) => path.endsWith('/conversions'), ...failure })
    expect(await refusal(await createOnGitHub(opened))).toMatch(new RegExp(`^${reason}.* ${left}$`))
  }
  const [right, second] = [await createOnGitHub(opened), await createOnGitHub(opened)]
  const [created, refusedTab] = await Promise.all([fetch(right), fetch(second)])
  expect([created.status, refusedTab.status]).toEqual([200, 400])
  expect(notes.at(-1)).toMatch(/^Another page already created the App\./)
  expect(await done).toBe(0)
  expect(github.requests.filter(({ path }) => path.includes('/conversions'))).toHaveLength(8)
  expect(readFileSync(file, 'utf8')).toMatch(
    /^GITHUB_APP_ID=\d+\nGITHUB_APP_PRIVATE_KEY=-----BEGIN[^\n]*\nGITHUB_WEBHOOK_SECRET=\w+\nGITHUB_API_URL=.*\/api\/v3\n$/,
  )
})

test("writes no escape sequence of GitHub's response to the terminal", async () => {
  const opened = await openSetup()
  const body = { ...APP, html_url: 'https://git.example.com/apps/x\u001b]0;\u0007title' }
  opened.github.fail({ match: ({ path }) => path.endsWith('/conversions'), status: 201, body })
  await fetch(await createOnGitHub(opened))
  expect(await opened.done).toBe(0)
  expect(opened.lines.at(-1)).toMatch(/\/apps\/x%1B\]0;%07title\/installations\/new$/)
})

test("prints the credentials if it can't write the file, and leaves no file behind if the command is stopped", async () => {
  const opened = await openSetup()
  rmSync(opened.file)
  const page = await (await fetch(await createOnGitHub(opened))).text()
  expect(page).toContain('Its credentials are only in the terminal')
  expect(await opened.done).toBe(1)
  // Another user of the folder replaces the file.
  const replaced = await openSetup()
  rmSync(replaced.file)
  const target = join(temporaryFolder(), 'target')
  writeFileSync(target, '')
  symlinkSync(target, replaced.file)
  await fetch(await createOnGitHub(replaced))
  expect(await replaced.done).toBe(1)
  expect(replaced.notes).toEqual([
    expect.stringContaining("can't be written (another program has replaced the file)."),
  ])
  expect(readFileSync(target, 'utf8')).toBe('')
  expect(opened.notes).toEqual([expect.stringMatching(/github-app\.env can't be written \(ENOENT\)\. Copy/)])
  const names = ['GITHUB_APP_ID', 'GITHUB_APP_PRIVATE_KEY', 'GITHUB_WEBHOOK_SECRET']
  expect(Object.keys(parseEnv(opened.lines[1]!))).toEqual(expect.arrayContaining(names))
  const stopped = await openSetup()
  const { size, mode } = statSync(stopped.file)
  expect([size, mode & 0o077]).toEqual([0, 0])
  stopped.stop.abort()
  expect(await stopped.done).toBe(1)
  expect(existsSync(stopped.file)).toBe(false)
})

test.each(['kubectl', 'docker', 'systemd'])(
  'prints commands for %s that pass the key unchanged',
  async where => {
    const opened = await openSetup('--for', where)
    await fetch(await createOnGitHub(opened))
    await opened.done
    const commands = opened.lines
      .slice(2, -1)
      .join('\n')
      .replaceAll(dirname(dirname(opened.file)), '/FOLDER')
      .replaceAll(opened.github.serverUrl, 'https://git.acme.example')
      .replaceAll(/(GITHUB_APP_ID=)\d+/g, '$1123')
    await expect(commands).toMatchFileSnapshot(`../fixtures/setup/${where}.txt`)
    expect(existsSync(opened.file)).toBe(true)
  },
)

test.each([
  ['', /^Specify what to set up: setup github; see setup --help\.$/],
  ['github', /^--url must be an http\(s\) URL, such as https:\/\/relay\.example\.com\.$/],
  ['github URL --for windows', /^--for must be one of kubectl, docker, systemd, not "windows"/],
  ['github URL --organization a/b', /^--organization must be a name, not "a\/b"\.$/],
  [
    'github URL --output FOLDER/a.env --server http://127.0.0.1:2',
    /^GitHub can't be reached at http:\/\/127\.0\.0\.1:2\/api\/v3 \(ECONNREFUSED\): .* NODE_EXTRA_CA_CERTS\.$/,
  ],
  ['github URL --output FOLDER/x/a.env', /can't be written \(ENOENT\): choose another --output\.$/],
  [`github URL --output ${import.meta.filename}`, /already exists: choose another/],
])('refuses the arguments "%s"', async (args, message) => {
  const given = args.replace('URL', `--url ${RELAY}`).replace('FOLDER', temporaryFolder())
  const { code, stderr } = await run(setup, given.split(' ').filter(Boolean))
  expect(code).toBeGreaterThan(0)
  expect(stderr).toMatch(message)
})
