import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { send } from '../../cli/send.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { openRelayHere, relayEnv, temporaryFolder } from '../support/relay.ts'
import { SECRET } from '../support/requests.ts'
import { run } from '../support/run-command.ts'

const PORT_CLIENT_SECRET = SECRET
const nowhere = { PORT_CLIENT_SECRET, PORT: '9' }

async function openLoop(more: Record<string, string> = {}) {
  const github = await startGitHubApi()
  github.addRepository('acme/shop')
  onTestFinished(() => github.close())
  const settings = { GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token, ...more }
  const relay = await openRelayHere(relayEnv(settings))
  return { github, relay, env: { PORT_CLIENT_SECRET, PORT: new URL(relay.url).port } }
}

test('sends an action with inputs in the form that Port sends, and the relay dispatches it', async () => {
  const { github, env } = await openLoop()
  const inputs = '--input version=1.10 --input replicas:=2 --input q=a=b:c'
  const day2 = '--entity shop --blueprint service --run-id r_0123456789abcdef --wait'
  const args = `--action deploy ${inputs} ${day2}`.split(' ')
  const accepted = /^Accepted as delivery [\w-]{36} for acme\/shop, event type deploy; it is dispatched\.$/
  const stdout = expect.stringMatching(accepted)
  expect(await run(send, args, env)).toEqual({ code: 0, stderr: '', stdout })
  expect(github.dispatches[0]).toMatchObject({
    eventType: 'deploy',
    clientPayload: {
      run_id: 'r_0123456789abcdef',
      action: 'deploy',
      port: {
        ...{ kind: 'action_run', operation: 'DAY-2', blueprint: 'service' },
        entity: { identifier: 'shop', blueprint: 'service' },
        inputs: { version: '1.10', replicas: 2, q: 'a=b:c' },
      },
    },
  })
  const again = await run(send, [...args, '--json'], env)
  expect(JSON.parse(again.stdout)).toMatchObject({ status: 200, response: { duplicate: true } })
  expect((await run(send, args, env)).stdout).toMatch(
    /The webhook was accepted before, and isn't dispatched again\.$/,
  )
  expect(github.dispatches).toHaveLength(1)
})

test('signs and sends a file unchanged to the target in the URL', async () => {
  const { github, relay } = await openLoop({ RELAY_ALLOWED_REPOSITORIES: 'acme/*' })
  github.addRepository('acme/web')
  const folder = temporaryFolder()
  const [body, secret] = ['body.json', 'secret'].map(name => join(folder, name)) as [string, string]
  writeFileSync(body, '{ "size": 1.0,\n  "note": "é" }\n')
  writeFileSync(secret, `${SECRET}\n`)
  const target = `--url=${relay.url}/webhook/acme/web?event_type=new`
  const more = `--run-id=r_0123456789abcdef --secret-file=${secret} --wait`
  const sent = await run(send, [body, target, ...more.split(' ')])
  expect(sent).toMatchObject({ code: 0, stdout: expect.stringContaining('for acme/web, event type new') })
  expect(github.dispatches[0]).toMatchObject({
    eventType: 'new',
    clientPayload: { run_id: 'r_0123456789abcdef', port: { inputs: { size: 1, note: 'é' } } },
  })
})

const NOT_ALLOWED = "other/shop isn't in RELAY_ALLOWED_REPOSITORIES: add it there to allow dispatches to it."

test("prints the relay's refusal message and exits with 1", async () => {
  const { github, relay, env } = await openLoop()
  const sent = (args = '', more = {}) =>
    run(send, `--action deploy ${args}`.trim().split(' '), { ...env, ...more })
  const stderr = `Refused with 403: ${NOT_ALLOWED}`
  expect(await sent(`--url ${relay.url}/webhook/other/shop`)).toEqual({ code: 1, stdout: '', stderr })
  const wrong = await sent('--json', { PORT_CLIENT_SECRET: 'wrong' })
  expect(wrong).toMatchObject({ code: 1, stderr: '' })
  const response = { detail: expect.stringMatching(/^The signature doesn't match/) }
  expect(JSON.parse(wrong.stdout)).toMatchObject({ status: 401, response })
  const noRelay = await sent(`--url ${github.url}`)
  expect(noRelay.code).toBe(1)
  expect(noRelay.stderr).toMatch(/^Refused with \d+: the server at --url isn't a relay: check --url\.$/)
  await relay.stop()
  expect((await sent()).stderr).toMatch(/^No relay responds at http:\/\/127/)
})

test('a dry run prints the target, inputs, and request, and sends nothing', async () => {
  const env = relayEnv({ RELAY_PUBLIC_URL: 'https://relay.example.com' })
  const args = ['--action', 'deploy', '--input', 'version=1.4.2', '--dry-run']
  const { code, stdout } = await run(send, args, env)
  expect(code).toBe(0)
  expect(stdout.split('\n').slice(0, 5)).toEqual([
    'Target: acme/shop, event type deploy',
    'Inputs:',
    '  version: "1.4.2"',
    'Request to GitHub:',
    '  POST http://127.0.0.1:9/repos/acme/shop/dispatches',
  ])
  const refused = ['--action', 'deploy', '--url', 'http://127.0.0.1/relay/webhook/other/shop', '--dry-run']
  const stderr = `The relay would refuse the webhook with 403: ${NOT_ALLOWED}`
  expect(await run(send, refused, relayEnv())).toEqual({ code: 1, stdout: '', stderr })
})

test.each([
  ['body.json --action deploy', 'send needs either FILE or --action NAME.'],
  ['body.json --entity shop', '--entity requires --action, because FILE already contains the whole body.'],
  ['--action a --input version', '--input "version" must be NAME=TEXT or NAME:=JSON.'],
  [
    '--action a --input n:=two',
    `--input n:=… must be JSON, such as 2, true or '["a"]'; for text write n=TEXT.`,
  ],
  ['--action a --entity {"id":', '--entity must be an identifier, or the entity as a JSON object.'],
  ['--action a --url relay', '--url "relay" must be an http(s) URL.'],
])('refuses the arguments %s', async (args, stderr) => {
  expect(await run(send, args.split(' '), nowhere)).toEqual({ code: 2, stdout: '', stderr })
})
