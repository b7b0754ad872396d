import { expect, test } from 'vitest'
import { openTrialFolder, USES, workflow } from './open-trial-folder.ts'

const USAGE = /\n\nnpm run action -- --event FILE \[--workflow FILE\]/
const PARSER =
  /^GitHub's parser refuses broken\.yml:\nbroken\.yml \(Line: \d+, Col: \d+\): Unexpected value 'stepz'/
const files = {
  'broken.json': '{"run": ',
  'number.json': '5',
  'definition.json': { identifier: 'deploy_service', invocationMethod: { type: 'WEBHOOK' } },
  'future.json': { client_payload: { port: { version: 2 } } },
  'other-event.json': { action: 'deploy_service', client_payload: { foo: 'bar' } },
  'no-delivery.json': { event_type: 'deploy_service', client_payload: { port: { version: 1, inputs: {} } } },
  'broken.yml': workflow(USES).replace('steps:', 'stepz:'),
  'without.yml': workflow('\n      - run: echo hi'),
  'push.yml': workflow(USES, 'push: { branches: [main] }'),
  'container.yml': workflow(USES).replace('runs-on:', 'container: node:24\n    runs-on:'),
  'shell.yml': workflow(`${USES}\n      - { run: Get-Date, shell: pwsh }`),
  'other.yml': workflow(USES, 'repository_dispatch: { types: [restart, stop] }'),
}
const event = ['--event', 'event.json']
test.for<[string, string[], string | RegExp]>([
  ['no event', [], new RegExp(`^--event is missing\\.${USAGE.source}`)],
  ['an unknown option', ['--evnt', 'x'], new RegExp(`^Unknown option '--evnt'.*${USAGE.source}`)],
  [
    'a value without a name',
    [...event, '--secret', 'hunter2'],
    '--secret takes NAME=VALUE, with a name before the "=".\n',
  ],
  [
    'a missing event file',
    ['--event', 'none.json'],
    'none.json does not exist: --event takes the path of a file.\n',
  ],
  ['a folder', ['--event', '.'], '. is a folder: --event takes the path of a file.\n'],
  ['an event that is not JSON', ['--event', 'broken.json'], /^broken\.json is not JSON: .+\.\n$/],
  [
    'an event that is no event',
    ['--event', 'number.json'],
    'number.json holds neither an object nor a list, so it is no body that Port sends.\n',
  ],
  [
    'the definition of an action',
    ['--event', 'definition.json'],
    /^definition\.json is the definition of an action in Port\. --event takes the body that Port sends/,
  ],
  [
    'a payload of another version',
    ['--event', 'future.json'],
    /^This payload is of version 2, and this action knows only version 1: update/,
  ],
  ...['other-event', 'no-delivery'].map((name): [string, string[], RegExp] => [
    `an event that is not the relay's (${name})`,
    ['--event', `${name}.json`],
    new RegExp(
      `^${name}\\.json is a repository_dispatch event that is not the relay's: .* so the action would fail on GitHub\\.`,
    ),
  ]),
  [
    'a missing workflow',
    [...event, '--workflow', 'none.yml'],
    'none.yml does not exist: --workflow takes the path of a file.\n',
  ],
  ['a workflow that does not parse', [...event, '--workflow', 'broken.yml'], PARSER],
  [
    'a workflow without the action',
    [...event, '--workflow', 'without.yml'],
    'without.yml does not use the action: no step has "uses: org/port-webhook-action@v1", under whatever owner.\n',
  ],
  [
    'a workflow of another event',
    [...event, '--workflow', 'push.yml'],
    'push.yml listens to push, and the relay starts workflows by repository_dispatch: add it to "on".\n',
  ],
  [
    'a job in a container',
    [...event, '--workflow', 'container.yml'],
    /^Job deploy of container\.yml runs in a container, and a trial has none: /,
  ],
  [
    'a step in a shell that a trial does not have',
    [...event, '--workflow', 'shell.yml'],
    /^Step 2 of job deploy in shell\.yml runs in the shell "pwsh", and a trial has only bash and sh: /,
  ],
  [
    'a type that the workflow does not list',
    [...event, '--workflow', 'other.yml'],
    "other.yml does not listen to repository_dispatch of type deploy_service, only to restart, stop. The type is the identifier of the Port action, unless the webhook's address or the relay's routes say another: then give it by --type.\n",
  ],
])('%s: it says so in a sentence, and fails', async ([, args, sentence]) => {
  const { play } = openTrialFolder(files)
  const { code, lines, errors } = await play(...args)
  if (typeof sentence === 'string') expect(errors).toBe(sentence)
  else expect(errors).toMatch(sentence)
  expect(errors).not.toMatch(/\n\s+at |hunter2/)
  expect(lines).toEqual([''])
  expect(code).toBe(1)
})

test('help is no mistake', async () => {
  const { code, lines, errors } = await openTrialFolder().play('--help')
  expect(lines[0]).toMatch(/^npm run action -- --event FILE/)
  expect([code, errors]).toEqual([0, ''])
})
