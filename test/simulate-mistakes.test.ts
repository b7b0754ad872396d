import { expect, test } from 'vitest'
import { openSimulationFolder, USES, workflow } from './open-simulation-folder.ts'

const folder = Object.fromEntries(
  Object.entries({
    'workflows/boxed.yml': called('container: node:24\n    runs-on: ubuntu-latest', '{ run: echo }'),
    'workflows/between.yml': calling('boxed', 'workflow_call'),
    'workflows/power.yml': called('runs-on: ubuntu-latest', '{ run: Get-Date, shell: pwsh }'),
    'workflows/round.yml': calling('round', 'workflow_call'),
    'actions/snake/action.yml': composite('{ run: print(), shell: python }'),
    'actions/around/action.yml': composite('{ run: echo, shell: bash }', '{ uses: ./.github/actions/snake }'),
    'actions/ring/action.yml': composite('{ uses: $/.github/actions/ring }'),
    'workflows/calls-container.yml': calling('between'),
    'workflows/calls-shell.yml': calling('power'),
    'workflows/calls-circle.yml': calling('round'),
    'workflows/calls-nothing.yml': calling('nothing'),
    'workflows/uses-shell.yml': workflow(`${USES}\n      - uses: $/.github/actions/around`),
    'workflows/uses-circle.yml': workflow(`${USES}\n      - uses: ./.github/actions/ring`),
  }).map(([name, text]) => [`.github/${name}`, text]),
)
const files = {
  ...folder,
  'broken.json': '{"run": ',
  'number.json': '5',
  'definition.json': { identifier: 'deploy_service', invocationMethod: { type: 'WEBHOOK' } },
  'version-1.json': { ok: true, run: { id: 'r_1', status: 'SUCCESS', inputs: {} } },
  'no-body.json': { ok: true, run: { payload: { body: null } } },
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
/** Columns: the arguments, and the error. `…` matches any text. */
const MISTAKES = `
--evnt x                                                    simulate has no option --evnt (did you mean --event?); see simulate --help.
--type x                                                    simulate needs --event FILE, the body that Port sends; see simulate --help.
--event event.json --secret hunter2                         --secret must be NAME=VALUE; see simulate --help.
--event event.json --output version=1                       --output must be STEP.NAME=VALUE; STEP is the id of a step; see simulate --help.
--event none.json                                           none.json doesn't exist: --event needs the path of a file.
--event .                                                   . is a folder: --event needs the path of a file.
--event broken.json                                         broken.json isn't JSON: ….
--event number.json                                         number.json must contain an object or a list, because Port sends no other body.
--event definition.json                                     definition.json is a Port action's definition. --event accepts the webhook body that Port sends…
--event version-1.json                                      version-1.json is Port's response about a run, but its … GET /v1/actions/runs/r_1?version=v2 …
--event no-body.json                                        no-body.json is Port's response about a run, but its … GET /v1/actions/runs/RUN-ID?version=v2 …
--event future.json                                         This payload has version 2, but this action supports only version 1: update…
--event other-event.json                                    other-event.json is a repository_dispatch event that isn't from the relay: … so the action would fail on GitHub.…
--event no-delivery.json                                    no-delivery.json is a repository_dispatch event that isn't from the relay: … so the action would fail on GitHub.…
--event event.json --workflow other.yml --type stop --output port.version=1  --output port.version has no effect: step port of other.yml runs and sets its own outputs. Set outputs only for omitted actions.
--event event.json --workflow other.yml --type stop --output prot.version=1  --output prot.version has no effect: no step of other.yml has the id prot.
--event event.json --workflow none.yml                      none.yml doesn't exist: --workflow needs the path of a file.
--event event.json --workflow broken.yml                    GitHub's parser refuses broken.yml:…broken.yml (Line: …): Unexpected value 'stepz'…
--event event.json --workflow without.yml                   without.yml doesn't use the action: no step has "uses: OWNER/port-webhook-action@v1".
--event event.json --workflow push.yml                      push.yml listens to push, but the relay starts workflows by repository_dispatch or workflow_dispatch: add either event to "on".
--event event.json --workflow container.yml                 Job deploy of container.yml runs in a container, but a simulation has no containers: …
--event event.json --workflow shell.yml                     Step 2 of job deploy in shell.yml runs in the shell "pwsh", but a simulation has only bash and sh: …
--event event.json --workflow .github/workflows/calls-container.yml  Job deploy of .github/workflows/boxed.yml runs in a container, but a simulation has no containers: …
--event event.json --workflow .github/workflows/calls-shell.yml  Step 1 of job deploy in .github/workflows/power.yml runs in the shell "pwsh", but a simulation …
--event event.json --workflow .github/workflows/calls-circle.yml  Job call of .github/workflows/round.yml uses $/.github/workflows/round.yml, which is already in this chain of calls: GitHub rejects …
--event event.json --workflow .github/workflows/calls-nothing.yml  Job call of calls-nothing.yml calls $/.github/workflows/nothing.yml, which doesn't exist in …
--event event.json --workflow .github/workflows/uses-shell.yml  Step 1 of ./.github/actions/snake runs in the shell "python", but a simulation has only bash and sh: …
--event event.json --workflow .github/workflows/uses-circle.yml  Step 1 of ./.github/actions/ring uses $/.github/actions/ring, which is already in this chain of calls: GitHub rejects cycles.…
--event event.json --workflow other.yml                     other.yml doesn't listen to repository_dispatch of type deploy_service, only to restart, stop. The type is the identifier of the Port action, unless the webhook's URL or the relay's routes set another type. In that case, pass the type with --type. On GitHub nothing would start, and after RELAY_START_TIMEOUT the relay would finish the run in Port as FAILURE, "Not started": No workflow in your repository listens to repository_dispatch type deploy_service on its default branch. Add "on: repository_dispatch: types: [deploy_service]" to a workflow, correct the event type, or enable the workflow if it's disabled.
`
const lines = MISTAKES.trim().split('\n')

test.for(lines.map(line => line.split(/ {2,}/) as [string, string]))('%s', async ([args, sentence]) => {
  const { simulate } = openSimulationFolder(files)
  const { code, lines, errors } = await simulate(...args.split(' '))
  const pattern = sentence
    .split('…')
    .map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^]*')
  expect(errors).toMatch(new RegExp(`^${pattern}$`))
  expect(errors).not.toMatch(/\n\s+at |hunter2/)
  expect(lines).toEqual([''])
  expect(code).toBe(/; see simulate --help\.$/.test(errors) ? 2 : 1)
})

/** Returns a workflow that calls the reusable workflow with this name. */
function calling(name: string, on = 'repository_dispatch'): string {
  return `on: { ${on}: }\njobs: { call: { uses: $/.github/workflows/${name}.yml } }\n`
}

function called(job: string, step: string): string {
  return `on: { workflow_call: }\njobs:\n  deploy:\n    ${job}\n    steps: [${step}]\n`
}

function composite(...steps: string[]): string {
  return `name: a\ndescription: b\nruns: { using: composite, steps: [${steps.join(', ')}] }\n`
}
