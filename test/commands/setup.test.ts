import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { runCommand } from '../../relay/cli/command.ts'
import { doctor } from '../../relay/cli/doctor.ts'
import { setup } from '../../relay/cli/setup.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { openBrowser } from '../support/browser.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const RELAY = 'https://relay.acme.example'

afterEach(() => vi.useRealTimers())

/** Starts the command against a fake Enterprise Server, and resolves once its page is open. */
async function openSetup(...more: string[]) {
  const github = await startGitHubApi({ enterprise: true })
  onTestFinished(() => github.close())
  const file = join(temporaryFolder(), 'github-app.env')
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
  await until(() => lines.length > 0, 'the page is open')
  const origin = lines[0]!.replace(/^Open this page in your browser: (.*)\/$/, '$1')
  return { github, file, done, lines, notes, origin }
}

test("creates an App in a browser and writes its credentials; doctor only reports that the App isn't installed", async () => {
  const browser = await openBrowser()
  if (typeof browser === 'string') throw new Error(browser)
  onTestFinished(() => browser.close())
  const { github, file, done, lines, origin } = await openSetup('--organization', 'acme', '--for', 'kubectl')
  github.addRepository('acme/shop')
  const tab = await browser.newPage()
  await tab.goto(origin)
  await tab.getByRole('button', { name: /^Continue on 127\.0\.0\.1/ }).click()
  await tab.getByRole('button', { name: 'Create GitHub App for acme' }).click()
  const install = tab.getByRole('link', { name: 'Install it on your repositories' })
  expect(await install.getAttribute('href')).toMatch(
    new RegExp(`^${github.serverUrl}/apps/[\\w-]+/installations/new$`),
  )
  expect(await done).toBe(0)
  expect(lines.slice(1)).toEqual([
    `Written: ${file} (only you can read it). Give its variables to the relay, in place of GITHUB_TOKEN.`,
    `kubectl create secret generic port-webhook-relay-github --from-env-file='${file}'`,
    expect.stringContaining('kubectl set env'),
    `Install the App on your repositories: ${await install.getAttribute('href')}`,
  ])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const env = parseEnv(readFileSync(file, 'utf8')) as Record<string, string>
  const { stdout } = await run(doctor, ['--json'], {
    ...env,
    ...{
      PORT_CLIENT_SECRET: 'secret',
      RELAY_REPOSITORY: 'acme/shop',
      RELAY_ADMIN_TOKEN: 'a-token-of-some-length',
    },
    ...{ RELAY_DATABASE: `sqlite:${file}.db`, PORT: '2' },
  })
  const { findings } = JSON.parse(stdout) as { findings: { status: string; sentence: string }[] }
  const wrong = findings.filter(({ status, sentence }) => status !== 'ok' && !/ is not set: /.test(sentence))
  expect(wrong.map(({ sentence }) => sentence)).toEqual([
    expect.stringMatching(/^The GitHub App is not installed on acme\/shop \(404\)/),
  ])
  expect(JSON.stringify(lines)).not.toContain(env.GITHUB_WEBHOOK_SECRET)
})

test('accepts a state once within ten minutes and a code once within an hour, and refuses another site', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const { github, done, notes, origin, file } = await openSetup()
  const newState = async () => {
    const form = await (await fetch(origin)).text()
    return {
      state: /\?state=(\w{64})"/.exec(form)![1]!,
      manifest: /name="manifest" value="([^"]*)"/.exec(form)![1]!.replaceAll('&quot;', '"'),
    }
  }
  /** The URL to which GitHub would redirect the browser. */
  const onGitHub = async () => {
    const { state, manifest } = await newState()
    const post = (path: string, fields: Record<string, string>) =>
      fetch(github.serverUrl + path, {
        method: 'POST',
        body: new URLSearchParams(fields),
        redirect: 'manual',
      })
    const shown = await (await post(`/settings/apps/new?state=${state}`, { manifest })).text()
    const [code, back] = ['code', 'back'].map(
      name => new RegExp(`name="${name}" value="([^"]*)"`).exec(shown)![1]!,
    )
    const created = await post('/settings/apps/created', {
      code: code!,
      manifest,
      back: back!.replaceAll('&amp;', '&'),
    })
    return new URL(created.headers.get('location')!)
  }
  const refusal = async (url: URL | string) => {
    const response = await fetch(url)
    expect(response.status).toBe(400)
    return notes.at(-1)
  }
  const minutes = (count: number) => vi.setSystemTime(Date.now() + count * 60_000)
  const unknown = 'This page was used before, or another one led here.'
  const refused = expect.stringMatching(
    /^GitHub doesn't accept the code of the App \(404\): it was used before, or is older/,
  )

  expect(await refusal(`${origin}/created?code=x`)).toBe(unknown)
  const back = await onGitHub()
  minutes(11)
  expect(await refusal(back)).toBe('GitHub was open for more than ten minutes.')
  expect(await refusal(back)).toBe(unknown)
  const { state } = await newState()
  expect(await refusal(`${origin}/created?code=invented&state=${state}`)).toEqual(refused)
  minutes(60)
  const late = new URL(back)
  late.searchParams.set('state', (await newState()).state)
  expect(await refusal(late)).toEqual(refused)
  const rebound = await fetch(`${origin.replace('127.0.0.1', 'localhost')}/`)
  expect([rebound.status, (await rebound.text()).includes('state')]).toEqual([403, false])

  const right = await onGitHub()
  expect((await fetch(right)).status).toBe(200)
  expect(await done).toBe(0)
  expect(github.requests.filter(({ path }) => path.includes('/conversions'))).toHaveLength(3)
  expect(readFileSync(file, 'utf8')).toMatch(
    /^GITHUB_APP_ID=\d+\nGITHUB_APP_PRIVATE_KEY=-----BEGIN[^\n]*\nGITHUB_WEBHOOK_SECRET=\w+\nGITHUB_API_URL=.*\/api\/v3\n$/,
  )
})

test('reports what is missing before anything is created', async () => {
  const file = join(temporaryFolder(), 'github-app.env')
  const wrong = async (...args: string[]) => {
    const { code, stderr } = await run(setup, args)
    expect(code).toBeGreaterThan(0)
    return stderr
  }
  const url = ['github', '--url', RELAY]
  expect(await wrong()).toBe('setup needs what to set up: setup github; see setup --help.')
  expect(await wrong('github')).toBe('--url must be an http(s) URL, such as https://relay.example.com.')
  expect(await wrong(...url, '--for', 'windows')).toBe('--for must be one of kubectl, docker, systemd.')
  expect(await wrong(...url, '--organization', 'a/b')).toBe('--organization must be a name, not "a/b".')
  expect(await wrong(...url, '--output', `${file}/x`)).toMatch(
    /can't be written to \(ENOENT\): choose another --output\.$/,
  )
  expect(await wrong(...url, '--output', import.meta.filename)).toMatch(
    /already exists: remove it, or choose another/,
  )
})
