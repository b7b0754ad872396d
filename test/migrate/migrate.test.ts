import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { migrateAll, migrateOne, runMigrate } from './migrated.ts'
import { playWorkflows, RUN_ID, type Scene } from './play-workflows.ts'

const root = join(import.meta.dirname, '../..')
const FOLDER = join(root, 'test/fixtures/migrate/workflows')
const guide = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

const called = ['called.yml', 'caller.yml']
const alone = readdirSync(FOLDER).filter(name => /^[a-z]+\.yml$/.test(name) && !called.includes(name))
test.each([...alone.map(name => [name]), called])(
  'workflows in the style of guides: %s migrates to the expected file',
  async (...names) => {
    const results = await migrateAll(Object.fromEntries(names.map(name => [name, guide(name)])))
    for (const [name, result] of results) {
      const remarks = result.remarks.map(line => `# ${line}\n`)
      await expect(result.text + remarks.join('')).toMatchFileSnapshot(
        join(FOLDER, name.replace('.', '.after.')),
      )
    }
  },
)

const echo = { 'actions/checkout@*': join(root, 'test/fixtures/simulator/echo-action') }
const cluster = (action: string, number = '17'): Omit<Scene, 'files'> => ({
  context: { runId: RUN_ID, action, entity: { identifier: 'shop' } },
  inputs: { 'cluster-name': 'eu' },
  vars: { NUMBER: number },
})
const call = (exit: string) => ({ inputs: { version: '2' }, vars: { EXIT: exit } })
const remove = (exit: string) => ({ inputs: { names: 'cart' }, vars: { EXIT: exit } })
const assign = (assignee: string) => ({ inputs: { assignee } })
const created = ['Created eu by create_new_cluster']
const nobody = ['There is no such user: nobody is assigned', 'Not done']
test.each<[string, string, Omit<Scene, 'files'>, string, string[]?]>([
  ['a step that writes an entity', 'cluster', cluster('request_new_cluster'), 'SUCCESS', ['Waiting for']],
  ['an action derived by Port, in jobs', 'cluster', cluster('create_new_cluster'), 'SUCCESS', created],
  ['a later job that fails', 'cluster', cluster('create_new_cluster', '18'), 'FAILURE'],
  ['an entity, a link and a summary', 'ticket', assign('ada'), 'SUCCESS', ['Done']],
  ['a successful job that fails the Port run with a reason', 'ticket', assign(''), 'FAILURE', nobody],
  ['several entities and a delete', 'remove', remove('0'), 'SUCCESS'],
  ['a job that fails between entities', 'remove', remove('1'), 'FAILURE', ['since work was failure']],
  ['a called workflow with a matrix', 'caller called', call('0'), 'SUCCESS', ['2 is in eu', '2 is in us']],
  ['a called workflow that is skipped', 'caller called', call('1'), 'FAILURE'],
])('%s: the outcome is the same before and after migration', async (_, names, scene, status, log = []) => {
  const files = names.split(' ').map(name => `${name}.yml`)
  const before = Object.fromEntries(files.map(name => [name, guide(name)]))
  const after = Object.fromEntries([...(await migrateAll(before))].map(([name, { text }]) => [name, text]))
  const was = await playWorkflows({ ...scene, files: before, actions: echo })
  const now = await playWorkflows({ ...scene, files: after, actions: echo })
  expect(was.status).toBe(status)
  const same = ({ conclusion, entities, links, status, summary }: typeof was) => {
    return { conclusion, entities, links, status, summary: was.summary && summary }
  }
  expect(same(now)).toEqual(same(was))
  const own = (steps: string[]) => steps.filter(step => /Ask|Create|Look|Work|Test|Roll/.test(step))
  expect(own(now.steps)).toEqual(own(was.steps))
  for (const line of log)
    expect([was.log, now.log]).toEqual([expect.stringContaining(line), expect.stringContaining(line)])
})

type Keys = Record<string, unknown>
const RUN = '${{ fromJson(inputs.port_context).runId }}'
/** Creates a step that uses Port's action. */
const port = (inputs: Keys, keys: Keys = {}) => ({
  ...{ name: 'Report', ...keys, uses: 'port-labs/port-github-action@v1' },
  with: {
    clientId: '${{ secrets.PORT_CLIENT_ID }}',
    clientSecret: '${{ secrets.PORT_CLIENT_SECRET }}',
    ...inputs,
  },
})
const patch = (more: Keys, keys: Keys = {}) => port({ operation: 'PATCH_RUN', runId: RUN, ...more }, keys)
const entity = (more: Keys = {}, keys: Keys = {}) =>
  port({ identifier: 'a', blueprint: 'service', runId: RUN, ...more }, keys)
const LOGGED = patch({ logMessage: '${{ inputs.name }}' })
const WORK = { name: 'Work', id: 'work', run: 'work' }
const INPUTS = { port_context: { type: 'string' }, port_run_id: { type: 'string' }, name: { type: 'string' } }
const DISPATCH = { workflow_dispatch: { inputs: INPUTS } }

interface Given {
  on?: unknown
  job?: Keys
  jobs?: Keys
  top?: Keys
}
/** Creates a workflow with these steps in its first job. */
const workflow = (steps: object[], { on = DISPATCH, job, jobs, top }: Given = {}): string => {
  const main = { 'runs-on': 'ubuntu-latest', permissions: {}, ...job, steps }
  return stringify({ on, ...top, jobs: { main, ...jobs } }, { lineWidth: 0, aliasDuplicateObjects: false })
}
interface Step extends Keys {
  name?: string
  run?: string
  env?: Record<string, string>
}
const jobsOf = (text: string): Record<string, { steps: Step[]; permissions?: Keys }> => parse(text).jobs
const reporting = (text: string) =>
  Object.values(jobsOf(text)).flatMap(({ steps = [] }) => steps.filter(({ name }) => name === 'Report'))

const UNKNOWN = "isn't known to be the Port run"
const SCRIPT = { id: 'x', run: 'echo "run_id=$(curl "$URL" -d "$port_context")" >> $GITHUB_OUTPUT' }
const CREATE = port({ operation: 'CREATE_RUN', action: 'x' }, { id: 'new', name: 'New' })
const SEARCH = port({ operation: 'SEARCH', query: '{}' }, { name: 'Search' })
const BASE = { env: { BASE: 'https://x' } }
test.each<[string, string, object[], Given?]>([
  ['another run', UNKNOWN, [patch({ runId: '${{ inputs.name }}', status: 'SUCCESS' })]],
  ['no run', UNKNOWN, [patch({ runId: '', statusLabel: 'x' })]],
  ['a created run', UNKNOWN, [CREATE, patch({ runId: '${{ steps.new.outputs.runId }}', summary: 'x' })]],
  ['a run id from a script', UNKNOWN, [SCRIPT, patch({ runId: '${{ steps.x.outputs.run_id }}' })]],
  ['an entity that is read later', 'A later step reads entities', [entity(), SEARCH]],
  ['an id used later', 'Other steps read', [entity({}, { id: 'e' }), { run: 'x', if: 'steps.e.outcome' }]],
  ['no identifier', 'The step has no "identifier"', [entity({ identifier: '' })]],
  ['invalid JSON', `"properties" isn't JSON`, [entity({ properties: '{"a": 1, ${{ inputs.name }} }' })]],
  ['inner quotes', `isn't JSON`, [entity({ relations: `{"a": ["\${{ join(github.event.*.x, '","') }}"]}` })]],
  ['a list of links', 'are unknown until', [patch({ link: '${{ toJSON(github.event.links) }}' })]],
  ['a team that may be a list', '"team" could evaluate', [entity({ team: '${{ inputs.name }}' })]],
  ['dependents', 'support "delete_dependents"', [entity({ operation: 'DELETE', delete_dependents: 'true' })]],
  ['computed variables', 'depends on env.BASE', [patch({ link: "${{ format('{0}', env.BASE) }}" }, BASE)]],
  ['no run, on push', 'can start without Port', [entity({ runId: '' })], { on: { push: null, ...DISPATCH } }],
  [
    ...(['a failure status', 'The step can mark the Port run as failed although the job succeeds'] as const),
    [patch({ status: 'FAILURE' }, { if: 'inputs.name' })],
    { jobs: { other: { 'runs-on': 'x', steps: [WORK] } } },
  ],
])("keeps a step that uses %s, and adds a remark on the step's line", async (_, message, steps, given) => {
  const text = workflow([WORK, ...steps, patch({ logMessage: '${{ inputs.name }}' }, { name: 'Log' })], given)
  const result = await migrateOne(text)
  expect(reporting(result.text)).toEqual(reporting(text))
  const line = text.split('\n').findIndex(each => each.includes('name: Report')) + 1
  const said = new RegExp(`^${line}: .*${message}.* The step stays`)
  expect(result.remarks).toContainEqual(expect.stringMatching(said))
})

const API = 'https://api.getport.io/v1'
test.each<[string, object, string]>([
  ['a step that stays', patch({ runId: '${{ inputs.name }}', status: 'SUCCESS' }), 'updates'],
  ['a script', { run: `curl ${API}/actions/runs/$ID -d '{"status": "SUCCESS"}'` }, 'updates'],
  ['an action of the repository', { uses: './report', with: { run: RUN } }, 'updates'],
  ['an action with a secret', { uses: './a', with: { x: '${{ secrets.PORT_CLIENT_SECRET }}' } }, 'updates'],
  ['a checkout', { uses: 'actions/checkout@v4', with: { token: '${{ secrets.PORT_GITHUB }}' } }, 'auto'],
  ['an action of another repository', { uses: 'acme/report@v1', with: { run: RUN } }, 'updates'],
  ["another repository's action without the run", { uses: 'acme/lint@v1', with: { x: 'y' } }, 'auto'],
  ['another action of Port', { uses: 'port-labs/port-sender@v0.2', with: {} }, 'updates'],
  ['a script that writes entities', { run: `curl ${API}/blueprints/service/entities -d @x` }, 'auto'],
  ['an exporter', { uses: 'port-labs/ocean-sail@v1', with: { x: 'y' } }, 'auto'],
])('if the workflow keeps %s, the action has report: %s', async (_, step, report) => {
  const { text } = await migrateOne(workflow([{ ...LOGGED, name: 'Log' }, step]))
  const [first] = jobsOf(text).main!.steps
  expect((first!.with as Keys | undefined)?.report ?? 'auto').toBe(report)
})

test.each<[string, Keys, string]>([
  ['the run id', { with: { run_id: RUN } }, 'updates'],
  ['a secret of Port', { secrets: { token: '${{ secrets.PORT_CLIENT_SECRET }}' } }, 'updates'],
  ['neither the run id nor a secret', { with: { name: 'x' } }, 'auto'],
])('if a workflow of another repository gets %s, the action has report: %s', async (_, keys, report) => {
  const call = { uses: 'acme/shared/.github/workflows/deploy.yml@v1', ...keys }
  const { text, remarks } = await migrateOne(workflow([{ ...LOGGED, name: 'Log' }], { jobs: { call } }))
  const [first] = jobsOf(text).main!.steps
  expect((first!.with as Keys | undefined)?.report ?? 'auto').toBe(report)
  const remark = `${call.uses} stays, and may finish the Port run`
  expect(remarks.some(line => line.includes(remark))).toBe(report === 'updates')
})

test('a remark lists the steps and jobs that a rejected entity no longer stops or starts', async () => {
  const steps = [
    entity({}, { name: 'Entity' }),
    LOGGED,
    WORK,
    { name: 'Undo', if: 'failure()', run: 'undo' },
    { name: 'Clean up', if: 'always()', run: 'clean' },
  ]
  const text = workflow(steps, { jobs: { next: { 'runs-on': 'x', needs: ['main'], steps: [WORK] } } })
  const line = (part: string) => text.split('\n').findIndex(each => each.includes(part)) + 1
  expect((await migrateOne(text)).remarks).toContain(
    `${line('name: Entity')}: if Port rejects the entity, the job now continues: GitHub runs line ${line('name: Work')}, line ${line('next:') + 1}, and skips line ${line('name: Undo')}.`,
  )
  const ignored = workflow([entity({}, { 'continue-on-error': true }), WORK])
  expect((await migrateOne(ignored)).remarks.join()).not.toContain('if Port rejects')
  const alone = workflow([WORK, entity(), LOGGED])
  expect((await migrateOne(alone)).remarks.join()).not.toContain('if Port rejects')
})

const CONCLUDE = 'echo conclusion=failure >> "${PORT_RUN:-/dev/null}"'
const LOG = `printf '%s\\n' "$MESSAGE" >> "\${PORT_LOG:-/dev/null}"`
const LINK = `{ printf 'link=%s' "$LINK" | tr -d '\\r\\n'; echo; } >> "\${PORT_RUN:-/dev/null}"`
const OWN_URL = '["${{ github.server_url }}/${{ github.repository }}/actions/runs/${{ github.run_id }}"]'
const STATUS = "${{ job.status == 'success' && 'SUCCESS' || 'FAILURE' }}"
test.each<[string, object, string[]]>([
  ['a success status', patch({ status: 'SUCCESS' }), []],
  ['a failure status', patch({ status: 'FAILURE' }, { if: 'failure()' }), []],
  ['the status of the job', patch({ status: STATUS }, { if: 'always()' }), []],
  ['failure in a successful job', patch({ status: 'FAILURE' }, { if: "inputs.name == ''" }), [CONCLUDE]],
  ['failure in any case', patch({ status: 'FAILURE' }, { if: 'failure() || inputs.name' }), [CONCLUDE]],
  ['failure unless a job failed', patch({ status: 'FAILURE' }, { if: 'failure() == false' }), [CONCLUDE]],
  ['failure in a failed job', patch({ status: 'FAILURE' }, { if: 'inputs.name && failure()' }), []],
  ['fixed text', patch({ logMessage: 'Done' }, { if: '${{ success() || failure() }}' }), []],
  ['a variable', patch({ link: '${{ env.L }}' }, { env: { L: 'https://x' }, if: 'env.L' }), [LINK]],
  ['a link to the workflow run', patch({ link: OWN_URL }), []],
  ['a link to an artifact', patch({ link: OWN_URL.replace('"]', '/artifacts/7"]') }), [LINK]],
  ['conditional text', patch({ logMessage: 'Done' }, { if: "steps.a.outcome == 'success'" }), [LOG]],
  ['a step whose outcome other steps use', patch({ logMessage: 'Done' }, { id: 'told' }), [LOG]],
])('replaces %s', async (_, step, lines) => {
  const { text } = await migrateOne(workflow([step, { run: 'echo', if: "steps.told.outcome == 'skipped'" }]))
  expect(reporting(text).map(({ run }) => run!.trimEnd())).toEqual(lines)
})

test('--keep-logs keeps fixed text', async () => {
  const { text } = await migrateOne(workflow([patch({ logMessage: 'Done' })]), '--keep-logs')
  expect(reporting(text)[0]!.env).toEqual({ MESSAGE: 'Done' })
})

test.each<[string, string]>([
  ['RELAY_REPORT_BLUEPRINTS of the relay must allow', workflow([entity({ blueprint: '_user' })])],
  ["the entity's change is now attributed to the Port run", workflow([entity({ runId: '' })])],
  ['It now finishes when the job finishes', workflow([patch({ status: 'SUCCESS' }), WORK])],
  ['the input "x" isn\'t declared, so it\'s empty', workflow([patch({ summary: '${{ inputs.x }}' })])],
  ["this script stays, and calls Port's API", workflow([LOGGED, { run: `curl ${API}/blueprints` }])],
  ['no step reports to Port, so the workflow is unchanged', workflow([WORK])],
  ['A step is in flow style', workflow([LOGGED, { x: 1 }]).replace('x: 1', JSON.stringify(LOGGED))],
])('prints the remark: %s', async (remark, text) => {
  expect((await migrateOne(text)).remarks).toContainEqual(expect.stringContaining(remark))
})

test('remarks name the lines that need the entity as an object, and the inputs that are unused after the migration', async () => {
  const inputs = { ...INPUTS, runId: { required: true }, ctx: { required: true } }
  const whole = { name: 'Work', env: { CONTEXT: '${{ inputs.port_context }}' }, run: 'work' }
  const steps = ['${{ inputs.runId }}', '${{ inputs.port_run_id }}', '${{ fromJSON(inputs.ctx).runId }}'].map(
    runId => patch({ runId, logMessage: '${{ inputs.name }} ${{ fromJSON(inputs.ctx).blueprint }}' }),
  )
  const text = workflow([...steps, whole], { on: { workflow_dispatch: { inputs } } })
  const lineOf = (part: string) => text.split('\n').findIndex(line => line.includes(part)) + 1
  const line = lineOf('CONTEXT:')
  expect((await migrateOne(text)).remarks).toEqual([
    `${lineOf('port_run_id:')}: remove the inputs that no step reads now: port_run_id, runId.`,
    `${lineOf('ctx:')}: the relay doesn't fill ctx now, because no step passes it to Port: send it from the Port action.`,
    `${line}: port_context contains the entity as an object if the relay makes the context, because the workflow passes on the whole input (line ${line}). To get the identifier, read .entity.identifier instead of .entity.`,
  ])
})

const OUTPUT = 'echo "runId=$(jq -r .runId <<< "$port_context")" >> $GITHUB_OUTPUT'
const VARIABLE = 'echo "RUN_ID=${{ inputs.port_run_id }}" >> $GITHUB_ENV'
test('a remark names the fields of the user that a workflow reads from an input that lacks them', async () => {
  const read = (input: string, ...keys: string[]) => ({
    run: keys.map(key => `echo "\${{ fromJSON(${input}).${key} }}"`).join(' '),
  })
  const user = 'trigger.by.user'
  const inputs = { ...INPUTS, ctx: { type: 'string' }, trigger: { type: 'string' } }
  const steps = [
    read('inputs.port_context', `${user}.firstName`),
    read("github.event.inputs['port_payload']", `${user}.picture`),
    read('inputs.ctx', 'runId', `${user}.email`, `${user}.name`),
    read('inputs.ctx', `${user}.firstName`, `${user}.firstName`, `${user}.phoneNumber`),
    read('inputs.trigger', 'by.user.lastName', 'by.user.email'),
    LOGGED,
  ]
  const text = workflow(steps, { on: { workflow_dispatch: { inputs } } })
  const lineOf = (part: string) => text.split('\n').findIndex(line => line.includes(part)) + 1
  const left = (fields: string, input: string) =>
    `the relay leaves ${fields} out of ${input}, because it passes these only in port_context: rename the input, here and in the Port action.`
  expect((await migrateOne(text)).remarks.filter(line => line.includes('leaves'))).toEqual([
    `${lineOf('phoneNumber')}: ${left(`${user}.firstName, ${user}.phoneNumber`, 'ctx')}`,
    `${lineOf('lastName')}: ${left(`${user}.lastName`, 'trigger')}`,
  ])
  const event = { repository_dispatch: { types: ['x'] } }
  expect((await migrateOne(workflow(steps, { on: event }))).remarks).not.toContainEqual(
    expect.stringContaining('leaves'),
  )
})

test.each<[string, string, Given, object[]?]>([
  ['an input', '${{ inputs.port_run_id }}', {}],
  ['an expression with brackets', "${{ fromJSON(github.event.inputs['port_context']).context.run_id }}", {}],
  ["Port's context under another name", '${{ fromJSON(inputs.name).runId }}', {}],
  ['a variable of the job', '${{ env.RUN }}', { job: { env: { RUN } } }],
  ['an output of a script', '${{ steps.c.outputs.runId }}', {}, [{ id: 'c', run: OUTPUT }]],
  ['a variable of a script', '${{ env.RUN_ID }}', {}, [{ run: VARIABLE }]],
  [
    ...(['an output of another job', '${{ needs.first.outputs.run_id }}'] as const),
    { job: { needs: 'first' }, jobs: { first: { 'runs-on': 'x', outputs: { run_id: RUN }, steps: [WORK] } } },
  ],
])('recognizes the run id from %s', async (_, runId, given, before = []) => {
  const steps = [...before, patch({ runId, logMessage: '${{ github.ref }}' })]
  const { text } = await migrateOne(workflow(steps, given))
  expect(reporting(text)[0]!.run).toContain('PORT_LOG')
})

const MANY = Object.fromEntries(Array.from({ length: 25 }, (_, at) => [`i${at}`, { type: 'string' }]))
test.each<[string, unknown, string | null]>([
  ['one event as text', 'workflow_dispatch', null],
  ['a list of events', ['push', 'workflow_dispatch'], "for the events push, the action doesn't run"],
  ['no inputs', { workflow_dispatch: null }, null],
  ['25 inputs', { workflow_dispatch: { inputs: MANY } }, '25 inputs, which is the limit of GitHub'],
  ['a "port"', { workflow_dispatch: { inputs: { port: { type: 'number' } } } }, 'its own input "port"'],
  ['an event type', { repository_dispatch: { types: ['x'] } }, "doesn't send client_payload.port_context"],
  ['only a push', 'push', "Port can't start this workflow"],
])('migrates a workflow whose "on" contains %s', async (_, on, remark) => {
  const runId = '${{ fromJson(github.event.client_payload.port_context).runId }}'
  const text = workflow([patch({ runId, logMessage: '${{ github.ref }}' })], { on })
  const result = await migrateOne(text)
  if (remark !== null) expect(result.remarks.join('\n')).toContain(remark)
  const after = parse(result.text).on
  if (result.refused) return expect(after).toEqual(on)
  const events = typeof on === 'string' || Array.isArray(on) ? [on].flat() : Object.keys(on as object)
  expect(Object.keys(after)).toEqual(events)
  const port = { description: 'What the relay sends', type: 'string', required: false }
  if (events.includes('workflow_dispatch')) expect(after.workflow_dispatch.inputs.port).toEqual(port)
})

const NEEDED = { actions: 'read', 'id-token': 'write' }
const OTHER = { 'runs-on': 'x', steps: [LOGGED] }
const ALL = { ...NEEDED, contents: 'read', issues: 'read' }
test.each<[string, unknown, Keys | string]>([
  ['none', undefined, { contents: 'write', ...NEEDED }],
  ['an empty list', {}, NEEDED],
  ['read-all', 'read-all', expect.objectContaining(ALL)],
  ['write-all', 'write-all', 'write-all'],
  ['other permissions', { issues: 'write' }, { issues: 'write', ...NEEDED }],
  ['insufficient permissions', { 'id-token': 'none', actions: 'write' }, { ...NEEDED, actions: 'write' }],
])('migrates the permissions of a job: %s', async (name, permissions, expected) => {
  const result = await migrateOne(workflow([{ run: 'git push' }, LOGGED], { job: { permissions } }))
  expect(jobsOf(result.text).main!.permissions).toEqual(expected)
  expect(result.remarks.some(line => line.includes('default permissions'))).toBe(name === 'none')
})

test.each<[unknown, unknown]>([
  [{ contents: 'read' }, { contents: 'read', ...NEEDED }],
  [{}, NEEDED],
  ['read-all', expect.objectContaining(ALL)],
  ['write-all', undefined],
])('of a workflow with %j, only the reporting jobs get more permissions', async (permissions, expected) => {
  const lint = { 'runs-on': 'x', steps: [{ uses: 'some-vendor/lint@v1' }] }
  const given = { top: { permissions }, job: { permissions: undefined }, jobs: { other: OTHER, lint } }
  const result = await migrateOne(workflow([{ run: 'git push' }, LOGGED], given))
  const { main, other, lint: unchanged } = jobsOf(result.text)
  expect([main!.permissions, other!.permissions]).toEqual([expected, expected])
  expect([parse(result.text).permissions, unchanged]).toEqual([permissions, lint])
  expect(result.remarks.filter(line => line.includes('default permissions'))).toEqual([])
})

test.each([
  ['ubuntu-latest', {}, undefined],
  ['[self-hosted, Linux]', {}, undefined],
  ['{ group: large, labels: macos }', {}, undefined],
  ['windows-2025', {}, 'bash'],
  ['${{ matrix.os }}', {}, 'bash'],
  ['self-hosted', { container: 'alpine' }, undefined],
  ['ubuntu-latest', { defaults: { run: { shell: 'pwsh', 'working-directory': 'x' } } }, 'bash'],
])('on %s with %j, sets the shell to %s', async (runsOn, job, shell) => {
  const text = workflow([LOGGED], { job: { ...job, 'runs-on': parse(runsOn) } })
  const [step] = reporting((await migrateOne(text)).text)
  expect(step!.shell).toBe(shell)
  expect(step!['working-directory']).toBe('defaults' in job ? '.' : undefined)
})

const ALIASES = workflow([LOGGED])
  .replace('type: string', 'type: &t string')
  .replace('type: string', 'type: *t')
const FLOW = `on: workflow_dispatch\njobs: { a: { runs-on: x, steps: [${JSON.stringify(LOGGED)}] } }`
const FLOW_GROUP = workflow([{ parallel: [] }]).replace('[]', `[${JSON.stringify(LOGGED)}]`)
test.each([
  ["a file that isn't YAML", 'on: [', "The file isn't YAML"],
  ['a file that is not a workflow', 'a: b', "The file isn't a workflow"],
  [
    'several documents',
    `${workflow([LOGGED])}---\na: b`,
    'contains several YAML documents: remove the line "---"',
  ],
  ['a workflow without triggers', workflow([LOGGED]).replace('on:', 'when:'), 'has no triggers: add "on:"'],
  ['a workflow with "true:"', workflow([LOGGED]).replace('on:', 'true:'), 'the key "true": write "on:"'],
  ['aliases', ALIASES, 'YAML aliases'],
  ['a job in flow style', FLOW, 'in flow style'],
  ['a parallel group in flow style', FLOW_GROUP, 'in flow style'],
  ['an invalid workflow', workflow([LOGGED], { top: { nonsense: 1 } }), "GitHub's parser rejects it"],
])('keeps %s unchanged', async (_, text, message) => {
  const result = (await runMigrate({ 'a.yml': text })).get('a.yml')!
  expect({ text: result.text, refused: result.refused }).toEqual({ text, refused: true })
  expect(result.remarks).toEqual([expect.stringMatching(`^\\d+: .*${message}.* stays as it is`)])
})

test('converts steps in a parallel group, so that none of them finishes the Port run early', async () => {
  const group = [{ run: 'true' }, patch({ status: 'SUCCESS', summary: '${{ inputs.name }}' })]
  const steps = [{ run: 'true', background: true }, { parallel: group }, { run: 'exit 3' }]
  const { text } = await migrateOne(workflow(steps))
  const after = await playWorkflows({ files: { 'a.yml': text }, inputs: { name: 'All is well' } })
  expect(after).toMatchObject({ status: 'FAILURE', summary: 'All is well' })
})

test.for(['./', '$/'])('keeps an unmigrated workflow and its callers unchanged (%s)', async root => {
  const call = workflow([LOGGED], { jobs: { call: { uses: `${root}.github/workflows/b.yml` } } })
  const called = workflow([patch({ runId: '${{ inputs.run_id }}', logMessage: '${{ github.ref }}' })], {
    on: { workflow_call: null, workflow_dispatch: { inputs: { port: { type: 'number' } } } },
  })
  const results = await migrateAll({ 'a.yml': call, 'b.yml': called })
  expect([...results].map(([, { text }]) => text)).toEqual([call, called])
  expect(results.get('a.yml')!.remarks).toEqual([
    expect.stringContaining("b.yml can't be migrated, and this workflow calls it or is called by it"),
  ])
})

test('keeps Windows line breaks and a missing line break at the end of the file', async () => {
  const text = workflow([WORK, LOGGED]).trimEnd()
  const { text: plain } = await migrateOne(text)
  const { text: windows } = await migrateOne(text.replaceAll('\n', '\r\n'))
  expect(windows).toBe(plain.replaceAll('\n', '\r\n'))
})

/** Text that would become several values if it were inserted without escaping into JSON, a $PORT_RUN entry, or a script. */
const TYPED = 'x", "blueprint": "_user\n$(touch never) \'`id`\' ${{ github.token }}\nconclusion=failure\nEOF'

test("a user's input remains a single value", async () => {
  const text = workflow([
    entity({ properties: '{"name": "${{ inputs.name }}", "list": ${{ toJSON(inputs.name) }}}' }),
    patch({ logMessage: 'By ${{ inputs.name }}', link: 'https://x.example/${{ inputs.name }}' }),
    patch({ summary: '${{ inputs.name }}' }),
  ])
  const files = { 'a.yml': (await migrateOne(text)).text }
  const { entities, log, status, links } = await playWorkflows({ files, inputs: { name: TYPED } })
  expect(entities).toMatchObject([
    { blueprint: 'service', identifier: 'a', properties: { name: TYPED, list: TYPED } },
  ])
  expect(log).toContain(`By ${TYPED}`)
  expect(status).toBe('SUCCESS')
  expect(links).toEqual([`https://x.example/${TYPED.replaceAll('\n', '')}`])
})
