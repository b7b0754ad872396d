import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { checkWorkflow } from '../../relay/commands/migrate/check-workflow.ts'
import { type MigratedFile, migrateFiles } from '../../relay/commands/migrate/migrate-files.ts'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import type { Migrated, MigrateOptions } from '../../relay/commands/migrate/types.ts'

const OPTIONS: MigrateOptions = {
  eventType: 'act',
  action: 'org/port-webhook-action@v1',
  credentials: false,
  keepLogs: false,
}

const CREDENTIALS =
  'clientId: "${{ secrets.PORT_CLIENT_ID }}", clientSecret: "${{ secrets.PORT_CLIENT_SECRET }}"'
const OWN = 'runId: "${{ fromJson(inputs.port_context).runId }}"'

/** A step of Port's action. */
const port = (inputs: string, more = '') =>
  `- { name: Report, uses: port-labs/port-github-action@v1, ${more}with: { ${CREDENTIALS}, ${inputs} } }`
const script = (text: string, env = '') =>
  `- name: Report\n${env && `  env: ${env}\n`}  run: |\n${text.replace(/^/gm, '    ')}`
const LOG = 'https://api.port.io/v1/actions/runs/${{ inputs.port_run_id }}/logs'

interface Given {
  inputs?: string
  on?: string
  job?: string
  before?: string
  /** Keys of a job before it. */
  first?: string
}

/** A workflow of one job with these steps. */
function workflow(
  steps: string[],
  { inputs = 'port_context', on, job = '', before = '', first = '' }: Given = {},
): string {
  const declared = inputs.split(' ').map(each => (each.includes(':') ? each : `${each}: { type: string }`))
  return [
    `on: ${on ?? `{ workflow_dispatch: { inputs: { ${declared.join(', ')} } } }`}`,
    ...(before ? [before] : []),
    'permissions: {}',
    'jobs:',
    ...(first
      ? ['  first:', '    runs-on: ubuntu-latest', `    ${first}`, '    steps:', '      - run: work']
      : []),
    '  work:',
    '    runs-on: ubuntu-latest',
    ...(job ? [`    ${job}`] : []),
    '    steps:',
    ...steps
      .join('\n')
      .split('\n')
      .map(line => `      ${line}`),
    '',
  ].join('\n')
}

async function migrated(text: string, options: Partial<MigrateOptions> = {}): Promise<Migrated> {
  expect(await checkWorkflow('before.yml', text)).toEqual([])
  const result = migrateWorkflow(text, { ...OPTIONS, ...options })
  expect(await checkWorkflow('after.yml', result.text)).toEqual([])
  expect(migrateWorkflow(result.text, { ...OPTIONS, ...options }).text).toBe(result.text)
  return result
}

const said = ({ findings }: Pick<Migrated, 'findings'>) =>
  findings.map(({ level, message }) => `${level}: ${message}`).join('\n')
interface Step {
  name?: string
  env?: Record<string, string>
}
/** A step's keys after, found by its name. */
const stepNamed = (text: string, name: string) =>
  Object.values(parse(text).jobs as Record<string, { steps?: Step[] }>)
    .flatMap(({ steps = [] }) => steps)
    .find(step => step.name === name)

const ANOTHER = 'is not known to be the run that started the workflow'
const MORE = 'not all of it is understood'
const LEFT: [string, string, string][] = [
  [
    'a log of another run',
    workflow([port('operation: PATCH_RUN, runId: "${{ inputs.parent_run }}", status: FAILURE'), port(OWN)], {
      inputs: 'port_context parent_run',
    }),
    ANOTHER,
  ],
  [
    'the end of a run that it has started',
    workflow([port('operation: PATCH_RUN, runId: "${{ steps.child.outputs.runId }}", status: SUCCESS')]),
    ANOTHER,
  ],
  [
    'a run that may be another',
    workflow(
      [
        port('operation: PATCH_RUN, runId: "${{ inputs.parent_run || inputs.port_run_id }}", statusLabel: a'),
        port(`${OWN}, operation: PATCH_RUN, statusLabel: a`).replace('name: Report', 'name: Own'),
      ],
      { inputs: 'port_context parent_run' },
    ),
    ANOTHER,
  ],
  [
    'the end of a run that it has started, by a variable with the name of its own',
    workflow([
      '- run: echo "PORT_RUN_ID=${{ steps.child.outputs.runId }}" >> $GITHUB_ENV',
      port('operation: PATCH_RUN, runId: "${{ env.PORT_RUN_ID }}", status: SUCCESS'),
    ]),
    ANOTHER,
  ],
  [
    'a run that only the script knows',
    workflow([
      '- { id: c, run: "echo port_run_id=$(cat run) >> $GITHUB_OUTPUT" }',
      port('operation: PATCH_RUN, runId: "${{ steps.c.outputs.port_run_id }}", status: SUCCESS'),
    ]),
    ANOTHER,
  ],
  [
    'a run that a script of JavaScript gives',
    workflow([
      `- { uses: actions/github-script@v7, with: { script: "core.exportVariable('PORT_RUN_ID', child.id)" } }`,
      port('operation: PATCH_RUN, runId: "${{ env.PORT_RUN_ID }}", status: SUCCESS'),
    ]),
    ANOTHER,
  ],
  [
    'a run that another one is started for',
    workflow([
      script(
        `echo "id=$(curl "$CHILD" -d '\${{ inputs.port_context }}' | jq -r '.runId')" >> $GITHUB_OUTPUT`,
      ).replace('name: Report', 'id: c'),
      port('operation: PATCH_RUN, runId: "${{ steps.c.outputs.id }}", status: SUCCESS'),
    ]),
    ANOTHER,
  ],
  [
    'a run in lines that a script writes',
    workflow([
      script('{ echo "port_run_id<<EOF"; cat run; echo EOF; } >> $GITHUB_OUTPUT').replace(
        'name: Report',
        'id: c',
      ),
      port('operation: PATCH_RUN, runId: "${{ steps.c.outputs.port_run_id }}", status: SUCCESS'),
    ]),
    ANOTHER,
  ],
  [
    'the end of a run that another job has started',
    workflow(
      [port('operation: PATCH_RUN, runId: "${{ needs.first.outputs.port_run_id }}", status: SUCCESS')],
      {
        job: 'needs: first',
        first: 'outputs: { port_run_id: "${{ steps.child.outputs.runId }}" }',
      },
    ),
    ANOTHER,
  ],
  [
    'an entity of another run',
    workflow([port('identifier: a, blueprint: b, runId: "${{ steps.child.outputs.runId }}"')]),
    ANOTHER,
  ],
  [
    'one of two runs that no name tells apart',
    workflow(
      [
        port('operation: PATCH_RUN, runId: "${{ inputs.one }}", statusLabel: a'),
        port('operation: PATCH_RUN, runId: "${{ inputs.two }}", statusLabel: a'),
      ],
      { inputs: 'one two' },
    ),
    ANOTHER,
  ],
  [
    'a variable that holds another run’s id',
    workflow([port('operation: PATCH_RUN, runId: "${{ env.PORT_RUN_ID }}", statusLabel: a')], {
      inputs: 'port_context parent_run',
      job: 'env: { PORT_RUN_ID: "${{ inputs.parent_run }}" }',
    }),
    ANOTHER,
  ],
  [
    'a curl to another run',
    workflow(
      [
        script(
          `curl -X PATCH "https://api.port.io/v1/actions/runs/\${{ inputs.other }}" -d '{"status": "SUCCESS"}'`,
        ),
      ],
      { inputs: 'port_run_id other' },
    ),
    ANOTHER,
  ],
  ...['$PWD', '$GITHUB_JOB', '$RUNNER_OS', '$?', '$1', '$$', '${NAME:-none}'].map(
    (variable): [string, string, string] => [
      `a curl with ${variable}`,
      workflow([script(`curl "${LOG}" --json "{\\"message\\": \\"In ${variable}\\"}"`)], {
        inputs: 'port_run_id',
      }),
      MORE,
    ],
  ),
  [
    'a curl that is sent where another fails',
    workflow([script(`curl "${LOG}" --json '{"message": "a"}' || curl "${LOG}" --json '{"message": "b"}'`)], {
      inputs: 'port_run_id',
    }),
    MORE,
  ],
  [
    'a script that sets an output',
    workflow([script(`echo "::set-output name=x::y"\ncurl "${LOG}" --json '{"message": "a"}'`)], {
      inputs: 'port_run_id',
    }),
    MORE,
  ],
  ...['', '?upsert=true', '?merge=true', '?upsert=true&merge=true&validation_only=true'].map(
    (query): [string, string, string] => [
      `an upsert by curl with "${query}"`,
      workflow([
        script(
          `curl -X POST "https://api.port.io/v1/blueprints/service/entities${query}" -d '{"identifier": "x"}'\n`,
        ),
        port(`${OWN}, operation: PATCH_RUN, statusLabel: x`),
      ]),
      'is not what $PORT_ENTITIES does',
    ],
  ),
]

test.each(LEFT)('%s stays as it is, with a todo', async (_, before, message) => {
  const result = await migrated(before)
  expect(said(result)).toMatch(new RegExp(`todo: .*${message.replace(/[$?]/g, '\\$&')}`))
  const strip = (step: Step | undefined) =>
    JSON.stringify(step).replaceAll('steps.port.outputs.run-id', 'inputs.port_run_id')
  expect(strip(stepNamed(result.text, 'Report'))).toBe(strip(stepNamed(before, 'Report')))
  for (const input of ['parent_run', 'other', 'one', 'two'])
    expect(result.text.includes(`${input}:`), input).toBe(before.includes(`${input}:`))
})

const OWN_RUNS: [string, string][] = [
  [
    'an input named for it',
    workflow([port('operation: PATCH_RUN, runId: "${{ inputs.port_run_id }}", statusLabel: a')], {
      inputs: 'port_run_id x',
    }),
  ],
  [
    'the only input that reports name',
    workflow([port('operation: PATCH_RUN, runId: "${{ inputs.id }}", statusLabel: a')], { inputs: 'id' }),
  ],
  [
    'a variable of the step',
    workflow([
      port(
        'operation: PATCH_RUN, runId: "${{ env.R }}", statusLabel: a',
        'env: { R: "${{ fromJson(inputs.port_context).runId }}" }, ',
      ),
    ]),
  ],
  [
    'a variable of the job',
    workflow([port('operation: PATCH_RUN, runId: "${{ env.R }}", statusLabel: a')], {
      job: 'env: { R: "${{ fromJson(inputs.port_context).runId }}" }',
    }),
  ],
  [
    'an output by its script',
    workflow([
      '- { id: c, run: "echo id=${{ fromJson(inputs.port_context).runId }} >> $GITHUB_OUTPUT" }',
      port('operation: PATCH_RUN, runId: "${{ steps.c.outputs.id }}", statusLabel: a'),
    ]),
  ],
  ...(
    [
      ['$GITHUB_ENV', 'echo "R=${{ fromJson(inputs.port_context).runId }}" >> $GITHUB_ENV', ''],
      [
        'jq on a variable',
        `echo "R=$(jq -r '.runId' <<< "$C")" >> $GITHUB_ENV`,
        '{ C: "${{ inputs.port_context }}" }',
      ],
      [
        'variables of its script',
        `C='\${{ inputs.port_context }}'\nID=$(echo "$C" | jq -r '.runId // .run_id')\necho "R=$ID" >> $GITHUB_ENV`,
        '',
      ],
    ] as const
  ).map(([name, text, env]): [string, string] => [
    name,
    workflow([
      script(text, env).replace('name: Report', 'name: Read'),
      port('operation: PATCH_RUN, runId: "${{ env.R }}", statusLabel: a'),
    ]),
  ]),
  [
    'a script of JavaScript',
    workflow([
      `- { id: c, uses: actions/github-script@v7, with: { script: "core.setOutput('r', JSON.parse('\${{ inputs.port_context }}').runId)" } }`,
      port('operation: PATCH_RUN, runId: "${{ steps.c.outputs.r }}", statusLabel: a'),
    ]),
  ],
  [
    'a variable that curl names',
    workflow([
      '- run: echo "R=${{ fromJson(inputs.port_context).runId }}" >> $GITHUB_ENV',
      script(`curl -X PATCH "https://api.port.io/v1/actions/runs/$R" -d '{"statusLabel": "a"}'`),
    ]),
  ],
  [
    'a context in a variable',
    workflow([port('operation: PATCH_RUN, runId: "${{ fromJSON(env.C).runId }}", statusLabel: a')], {
      job: 'env: { C: "${{ inputs.port_context }}" }',
    }),
  ],
  [
    'a context with a default',
    workflow([
      port(
        `operation: PATCH_RUN, runId: "\${{ fromJSON(inputs.port_context || '{}').runId }}", statusLabel: a`,
      ),
    ]),
  ],
  [
    'an output of another job',
    workflow([port('operation: PATCH_RUN, runId: "${{ needs.first.outputs.id }}", statusLabel: a')], {
      job: 'needs: first',
      first: 'outputs: { id: "${{ fromJson(inputs.port_context).runId }}" }',
    }),
  ],
]
test.each(OWN_RUNS)('the run is known by %s', async (_, before) => {
  const { text } = await migrated(before)
  expect(stepNamed(text, 'Report')).toMatchObject({ env: { STATUS_LABEL: 'a' } })
})

describe('the variables of a step that reports', () => {
  test('stand as what they hold in what it reports', async () => {
    const { text } = await migrated(
      workflow(
        [
          port(
            `${OWN}, identifier: "dep-\${{ env.VER }}", blueprint: b, properties: '{"v": "\${{ env.VER || ''none'' }}"}'`,
            'env: { VER: "v${{ inputs.version }}" }, ',
          ),
        ],
        { inputs: 'port_context version' },
      ),
    )
    const entity = String(stepNamed(text, 'Report')?.env?.ENTITY)
    expect(entity).toContain("toJSON(format('dep-v{0}', inputs.version))")
    expect(entity).toContain("format('v{0}', inputs.version) || 'none'")
    expect(text).not.toContain('env.VER')
  })

  test('stay where its condition reads them', async () => {
    const { text } = await migrated(
      workflow(
        [
          port(
            `${OWN}, operation: PATCH_RUN, statusLabel: x`,
            'if: "env.TIER == \'prod\'", env: { TIER: "${{ inputs.tier }}" }, ',
          ),
        ],
        { inputs: 'port_context tier' },
      ),
    )
    expect(stepNamed(text, 'Report')).toMatchObject({
      if: "env.TIER == 'prod'",
      env: { TIER: '${{ inputs.tier }}' },
    })
  })
})

test('the lines of a text in an entity keep their spaces', async () => {
  const { text } = await migrated(
    workflow(
      [
        `- name: Report\n  uses: port-labs/port-github-action@v1\n  with:\n    identifier: a\n    blueprint: b\n    properties: |\n      {\n          "text": "- one\\n  - two \${{ inputs.x }}"\n      }`,
      ],
      { inputs: 'port_context x' },
    ),
  )
  expect(String(stepNamed(text, 'Report')?.env?.ENTITY)).toContain("format('- one\n  - two {0}', inputs.x)")
})

test.each([
  [
    'an alias of a step',
    ['- &start\n  run: echo ${{ inputs.port_run_id }}', '- *start'],
    'it uses YAML anchors',
  ],
  [
    'an alias of with',
    [
      '- uses: port-labs/port-github-action@v1\n  with: &w { operation: PATCH_RUN, runId: "${{ inputs.port_run_id }}" }',
      '- { uses: port-labs/port-github-action@v1, with: *w }',
    ],
    'it uses YAML anchors',
  ],
])('%s keeps the workflow as it is', async (_, steps, message) => {
  const before = workflow(steps, { inputs: 'port_run_id' })
  const { text, findings } = migrateWorkflow(before, OPTIONS)
  expect(text).toBe(before)
  expect(findings).toEqual([
    { line: expect.any(Number), level: 'todo', message: expect.stringContaining(message) },
  ])
})

const many = Array.from({ length: 25 }, (_, index) => `i${index}`).join(' ')
const entity = port('identifier: a, blueprint: b')
const WHOLE: [string, string, Partial<MigrateOptions>, string][] = [
  ['25 inputs of its own', workflow([entity], { inputs: many }), {}, 'it has 26 inputs'],
  [
    'both events',
    workflow([entity], { on: '{ workflow_dispatch: {}, repository_dispatch: { types: [x] } }' }),
    { on: 'repository_dispatch' },
    'it has a repository_dispatch already',
  ],
  [
    'no client id and secret',
    workflow([script(`curl "${LOG}" --json '{"message": "a"}'`)], { inputs: 'port_run_id' }),
    { credentials: true },
    'no step names a client id and secret',
  ],
  [
    'a client id of an earlier step',
    workflow([entity.replace('secrets.PORT_CLIENT_ID', 'steps.vault.outputs.id')]),
    { credentials: true },
    'no step names a client id and secret',
  ],
]
test.each(WHOLE)('a workflow with %s stays as it is', async (_, before, options, message) => {
  const { text, findings } = await migrated(before, options)
  expect(text).toBe(before)
  expect(findings).toEqual([{ line: 1, level: 'todo', message: expect.stringContaining(message) }])
})

test('more than 25 inputs are no matter for --on repository_dispatch', async () => {
  const { changed } = await migrated(workflow([entity], { inputs: many }), { on: 'repository_dispatch' })
  expect(changed).toBe(true)
})

const EVENT = JSON.stringify({
  run_id: 'r_1',
  port: { blueprint: 'service', entity: { identifier: 'shop' }, inputs: { x: '1' } },
})
/** What an expression gives as text, with this text in the input `port`. */
function evaluate(expression: string, port: string): string {
  const { tokens } = new Lexer(expression).lex()
  const context = JSON.parse(
    JSON.stringify({ event: { inputs: { port } } }),
    data.reviver,
  ) as data.ExpressionData
  const contexts = new data.Dictionary({ key: 'github', value: context })
  return new Evaluator(new Parser(tokens, ['github'], []).parse(), contexts, new Map())
    .evaluate()
    .coerceString()
}

const USED = '- uses: org/port-webhook-action@v1'
const SAID: [string, string, Partial<MigrateOptions>, string][] = [
  [
    '--on that it has no event for',
    workflow([entity], { on: 'repository_dispatch' }),
    { on: 'workflow_dispatch' },
    '--on workflow_dispatch is ignored, since it has no workflow_dispatch',
  ],
  [
    '--on for one that has the action',
    workflow([USED, entity], { inputs: 'port' }),
    { on: 'repository_dispatch' },
    'is ignored, since it has the action already',
  ],
  [
    'jq on the event',
    workflow([script(`jq '.inputs.port_context | fromjson' "$GITHUB_EVENT_PATH"`), entity]),
    {},
    'port_context is no input any more',
  ],
  [
    'jq on all inputs',
    workflow(['- { run: jq .port_context, env: { I: "${{ toJSON(inputs) }}" } }', entity]),
    {},
    'port_context is no input any more',
  ],
  [
    'a script of JavaScript',
    workflow([
      '- { uses: actions/github-script@v7, with: { script: "context.payload.inputs.port_context" } }',
      entity,
    ]),
    {},
    'port_context is no input any more',
  ],
  [
    'another letter case',
    workflow(['- run: echo ${{ FROMJSON(INPUTS.PORT_CONTEXT).runId }}', entity]),
    {},
    'PORT_CONTEXT is no input any more',
  ],
  [
    'another input that an event has not',
    workflow([script(`jq .inputs.x "$GITHUB_EVENT_PATH"`), entity], { inputs: 'x' }),
    { on: 'repository_dispatch' },
    'x is no input any more',
  ],
  [
    'the inputs as a whole',
    workflow(['- { run: work, env: { I: "${{ toJSON(inputs) }}" } }', entity], { inputs: 'port_context x' }),
    {},
    'inputs as a whole have no port_context any more',
  ],
  [
    'an action of the repository',
    workflow(['- { uses: ./.github/actions/tell, with: { id: "${{ secrets.PORT_CLIENT_ID }}" } }', entity]),
    {},
    './.github/actions/tell is handed the run or a secret',
  ],
]
test.each(SAID)('%s is named by one finding, at its line', async (_, before, options, message) => {
  const found = (await migrated(before, options)).findings.filter(each => each.message.includes(message))
  expect(found).toEqual([{ line: expect.any(Number), level: 'check', message: expect.any(String) }])
  const word = message.startsWith('--on') || message.startsWith('is ') ? 'on:' : message.split(' ')[0]!
  expect(before.split('\n')[found[0]!.line - 1]).toContain(word)
})

const POST = 'https://api.port.io/v1/blueprints/service/entities?upsert=true&merge=true'
const ENDING: [string, string, string | undefined][] = [
  ['a script that reads entities', workflow([script(`curl "${POST}" | jq .`), entity]), undefined],
  ['a script that ends a run', workflow([script(`curl "${LOG}" -d "$(jq -n .)"`), entity]), 'updates'],
  [
    'a status of a run that may be another',
    workflow([port('operation: PATCH_RUN, runId: "${{ inputs.other }}", status: SUCCESS'), entity]),
    'updates',
  ],
  [
    'a label of a run that may be another',
    workflow([port('operation: PATCH_RUN, runId: "${{ inputs.other }}", statusLabel: a'), entity]),
    undefined,
  ],
  [
    'an action of the repository',
    workflow(['- { uses: ./tell, with: { id: "${{ fromJSON(inputs.port_context).runId }}" } }', entity]),
    'updates',
  ],
  [
    'a script of JavaScript',
    workflow([
      `- { uses: actions/github-script@v7, with: { script: "fetch('https://api.port.io/v1/actions/runs/x')" } }`,
      entity,
    ]),
    'updates',
  ],
  [
    'a workflow of another repository that is handed the run',
    `${workflow([entity])}  call:
    uses: acme/pipelines/.github/workflows/deploy.yml@v3
    with: { context: "\${{ inputs.port_context }}" }
`,
    'updates',
  ],
]
test.each(ENDING)(
  'with %s left, the action reports no end where that may end the run',
  async (_, before, report) => {
    const result = await migrated(before)
    const [action] = parse(result.text).jobs.work.steps.filter(({ id }: { id?: string }) => id === 'port')
    expect(action.with?.report).toBe(report)
    expect(said(result).includes('this may end the run in Port by hand')).toBe(report !== undefined)
  },
)

test('a workflow of another repository that is handed the run is not to be migrated with it', async () => {
  const [, before] = ENDING.at(-1)!
  const result = await migrated(before)
  expect(said(result)).toContain(
    'deploy.yml@v3 is handed context, and may report to Port too: the call stays',
  )
  expect(said(result)).not.toContain('in the same command')
})

test.each([
  ['job', [], 'conclusion=failure'],
  ['updates', [script(`curl "${LOG}" -d "$(jq -n .)"`)], undefined],
])('a status that fails a green job is a conclusion only with report: job, not %s', async (_, more, line) => {
  const status = port(`${OWN}, operation: PATCH_RUN, status: FAILURE`, "if: github.ref == 'x', ")
  const { text } = await migrated(workflow([status.replace('Report', 'Status'), ...more]))
  expect(/conclusion=failure/.exec(text)?.[0]).toBe(line)
  expect(stepNamed(text, 'Status') === undefined).toBe(line === undefined)
})

test('a workflow without Port has no todo', () => {
  const unrelated = (on: string) => migrateWorkflow(workflow(['- run: work'], { on }), OPTIONS).findings
  expect(unrelated('push')).toEqual([])
  expect(unrelated('{ push: {}, workflow_dispatch: {} }')).toMatchObject([
    { level: 'check', message: expect.stringContaining('nothing in it reports to Port') },
  ])
})

test('an entity whose text an expression ends by quotes of its own stays', async () => {
  const properties = `'{"a": ["\${{ join(fromJson(inputs.x), ''","'') }}"]}'`
  const step = port(`${OWN}, identifier: a, blueprint: b, properties: ${properties}`)
  const before = workflow([step, entity], { inputs: 'port_context x' })
  const result = await migrated(before)
  expect(said(result)).toContain(
    'todo: "properties" has an expression in a text that ends the text by quotes',
  )
  expect(stepNamed(result.text, 'Report')).toHaveProperty('uses')
})

test.each([
  ['[${{ steps.c.outputs.x }}]', 'is a list of one item now'],
  ['"${{ steps.c.outputs.x }}"', 'steps.c.outputs.x: what its step escapes for JSON'],
  ['"${{ fromJSON(steps.c.outputs.x).a }}"', null],
  ['["${{ inputs.x }}"]', null],
  ['[${{ github.run_number }}]', null],
])('a value in an entity that may be written to be more is a check: %s', async (value, message) => {
  const step = port(`${OWN}, identifier: a, blueprint: b, properties: '{"a": ${value}}'`)
  const { findings } = await migrated(workflow([step], { inputs: 'port_context x' }))
  expect(findings.map(({ level, message }) => [level, message])).toEqual(
    message === null ? [] : [['check', expect.stringContaining(message)]],
  )
})

const send = (options: string, after = '') =>
  script(`curl ${options} -X POST "${POST}" -d '{"identifier": "x"}'${after}`)
test.each([
  ['-fsS', '', true],
  ['--fail-with-body', '', true],
  ['-s', '', undefined],
  ['-fsS', ' || true', undefined],
  ['-fsS', ' | jq .', undefined],
])('an entity by curl %s%s fails the job: %s', async (options, after, fails) => {
  const { text } = await migrated(workflow([send(options, after)]))
  expect(stepNamed(text, 'Report')?.env?.ENTITY).toContain('"x"')
  expect(parse(text).jobs.work.steps[0].with?.['fail-on-report-error']).toBe(fails)
})

test.each([
  ['a push', '{ push: {}, workflow_dispatch: {} }', port('identifier: a, blueprint: b')],
  ['a push', '{ push: {}, workflow_dispatch: {} }', port('operation: DELETE, identifier: a, blueprint: b')],
  ['a push', '{ push: {}, workflow_dispatch: {} }', port('operation: BULK_UPSERT, entities: "[]"')],
  ['a push', '{ push: {}, workflow_dispatch: {} }', send('-f')],
  ['a workflow that is none of Port’s', '{ workflow_call: {} }', port('identifier: a, blueprint: b')],
])('an entity of no run stays where %s starts the workflow too', async (_, on, step) => {
  const before = workflow([step], { on })
  const result = await migrated(before)
  expect(result.text).toBe(before)
  expect(said(result)).toMatch(/^todo: the entity is of no run in Port/)
})

const RUN = 'steps.port.outputs.run-id'
test.each([
  ['if: inputs.port_context', `if: ${RUN}`],
  ['if: always() && inputs.port_context', `if: always() && ${RUN}`],
  ['if: "${{ !inputs.port_context }}"', `if: "\${{ !${RUN} }}"`],
  [`if: inputs.port_context && github.ref == 'x'`, `if: ${RUN} && github.ref == 'x'`],
  [`if: inputs.port_context != ''`, `if: ${RUN} != ''`],
  [`if: fromJSON(inputs.port_context || '{}').entity == 'x'`, `if: steps.port.outputs.entity-id == 'x'`],
  [
    `if: fromJSON(inputs.port_context || '{}').entity.title == 'x'`,
    `if: fromJSON(steps.port.outputs.entity || '{}').title == 'x'`,
  ],
  [
    `if: fromJSON(inputs.port_payload).payload.action.trigger == 'CREATE'`,
    `if: steps.port.outputs.operation == 'CREATE'`,
  ],
])('%s becomes %s', async (before, after) => {
  const { text } = await migrated(
    workflow([`- run: work\n  ${before}`, entity], { inputs: 'port_context port_payload' }),
  )
  expect(text).toContain(`- run: work\n        ${after}\n`)
})

test.each([
  ['port_context', '{}', ''],
  ['port_context', EVENT, '{"runId":"r_1","run_id":"r_1","blueprint":"service","entity":"shop"}'],
  ['port_payload', '{}', ''],
  [
    'port_payload',
    EVENT,
    '{"runId":"r_1","run_id":"r_1","blueprint":"service","entity":"shop",' +
      '"context":{"runId":"r_1","run_id":"r_1","blueprint":"service","entity":"shop"},' +
      '"payload":{"entity":{"identifier":"shop"},"properties":{"x":"1"}}}',
  ],
])('%s as a whole is rebuilt from %j', async (name, event, value) => {
  const { text } = await migrated(
    workflow([entity], { inputs: name, job: `env: { P: "\${{ inputs.${name} }}" }` }),
  )
  const expression = String(parse(text).jobs.work.env.P).replace(/^\$\{\{|\}\}$/g, '')
  expect(evaluate(expression, event)?.replaceAll(/\s/g, '')).toBe(value)
})

test('a part of the payload that is no more is a todo', async () => {
  const result = await migrated(
    workflow(['- run: echo ${{ fromJSON(inputs.port_payload).payload.action.title }}', entity], {
      inputs: 'port_payload',
    }),
  )
  expect(said(result)).toContain('todo: payload.action.title: what Port sends now has no such part')
  expect(result.text).not.toContain('outputs.input-payload')
})

test('--credentials takes the client id, the secret and the region from the script that gets the token', async () => {
  const token = `T=$(curl https://api.us.port.io/v1/auth/access_token -d "{\\"clientId\\": \\"$ID\\", \\"clientSecret\\": \\"$KEY\\"}" | jq -r .accessToken)\necho "T=$T" >> $GITHUB_ENV`
  const { text } = await migrated(
    workflow(
      [
        script(token, '{ ID: "${{ secrets.US_ID }}", KEY: "${{ secrets.US_KEY }}" }'),
        script(`curl "${LOG}" -H "Authorization: Bearer $T" --json '{"statusLabel": "a"}'`),
      ],
      { inputs: 'port_run_id' },
    ),
    { credentials: true },
  )
  expect(parse(text).jobs.work.steps[0].with).toMatchObject({
    'port-client-id': '${{ secrets.US_ID }}',
    'port-client-secret': '${{ secrets.US_KEY }}',
    'port-api-url': 'https://api.us.port.io',
  })
})

test('the default of a list stays with --on repository_dispatch', async () => {
  const before = workflow([entity], {
    on: `{ workflow_dispatch: { inputs: { regions: { default: '["eu"]' } } } }`,
    job: 'strategy: { matrix: { region: "${{ fromJSON(inputs.regions) }}" } }',
  })
  const result = await migrated(before, { on: 'repository_dispatch' })
  expect(parse(result.text).jobs.work.strategy.matrix.region).toBe(
    `\${{ github.event.client_payload.port.inputs.regions || fromJSON('["eu"]') }}`,
  )
  expect(said(result)).toContain('the default "[\\"eu\\"]" of regions stands in the expression now')
})

test('the step of the action that a job has gets the id by which its outputs are read', async () => {
  const { text } = await migrated(
    workflow([USED, '- run: echo ${{ fromJson(inputs.port_context).runId }}', entity], {
      inputs: 'port port_context',
    }),
  )
  expect(parse(text).jobs.work.steps.slice(0, 2)).toEqual([
    { id: 'port', uses: 'org/port-webhook-action@v1' },
    { run: 'echo ${{ steps.port.outputs.run-id }}' },
  ])
})

test('comments of a list of events and of the inputs of a step stay', async () => {
  const { text } = await migrated(
    workflow(
      [
        `- uses: port-labs/port-github-action@v1\n  with: # creds\n    runId: "\${{ inputs.port_run_id }}"\n    identifier: a # id\n    blueprint: b`,
      ],
      {
        on: '\n- push # pushed\n- workflow_dispatch # by hand',
      },
    ),
  )
  for (const comment of ['push: # pushed', '# by hand', '# creds', '# id']) expect(text).toContain(comment)
})

describe('workflows that call each other', () => {
  const called = `on: { workflow_call: { inputs: { run: { type: string, required: true } } } }
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      ${port('operation: PATCH_RUN, runId: "${{ inputs.run }}", statusLabel: a')}
  publish:
    runs-on: ubuntu-latest
    permissions: { packages: write }
    steps:
      - run: work
`
  const call = (value: string, more = '') => `  call:
    needs: first
    uses: ./.github/workflows/called.yml
    with: { run: "\${{ ${value} }}" }
${more}`
  const caller = (jobs: string, inputs = 'port_context: { type: string }, other: { type: string }') => `on:
  workflow_dispatch: { inputs: { ${inputs} } }
jobs:
  first:
    runs-on: ubuntu-latest
    outputs: { id: "\${{ fromJson(inputs.port_context).runId }}" }
    steps:
      - run: work
${jobs}`

  async function together(texts: Record<string, string>): Promise<MigratedFile[]> {
    const results = await migrateFiles(
      Object.entries(texts).map(([name, text]) => ({ name: `${name}.yml`, text, options: OPTIONS })),
    )
    const all = new Map(Object.keys(texts).map((name, index) => [`${name}.yml`, results[index]!.text]))
    for (const [name, text] of all) expect(await checkWorkflow(name, text, all)).toEqual([])
    expect(results.map(({ problem }) => problem)).toEqual(results.map(() => null))
    return results
  }

  test.each([
    ['a context', 'fromJson(inputs.port_context).runId'],
    ['an output of another job', 'needs.first.outputs.id'],
  ])('hand the run by %s no more, and give the permissions that are asked for', async (_, value) => {
    const [first] = await together({ caller: caller(call(value)), called })
    const { call: job } = parse(first!.text).jobs
    expect(job).toEqual({
      needs: 'first',
      uses: './.github/workflows/called.yml',
      permissions: { actions: 'read', contents: 'read', 'id-token': 'write', packages: 'write' },
    })
  })

  test('know the input that is only handed on', async () => {
    const text = caller(call('inputs.id'), 'id: { type: string }').replace(/^ {4}outputs.*\n/m, '')
    const [first] = await together({ caller: text, called })
    expect(Object.keys(parse(first!.text).on.workflow_dispatch.inputs)).toEqual(['port'])
    expect(parse(first!.text).jobs.call).not.toHaveProperty('with')
  })

  test('keep what they hand to one that stays', async () => {
    const other = called.replace(/ {6}- \{ name: Report.*\n/, '      - run: echo ${{ inputs.run }}\n')
    const [first, second] = await together({ caller: caller(call('needs.first.outputs.id')), called: other })
    expect(second!.changed).toBe(false)
    expect(parse(first!.text).jobs.call.with).toEqual({ run: '${{ needs.first.outputs.id }}' })
  })

  test('give permissions where nothing is handed on, whatever starts them', async () => {
    const needsNone = called
      .replace(/inputs: \{.*?\} \}/, '')
      .replace('inputs.run', 'fromJson(github.event.inputs.port_context).runId')
    const text = `on: push\npermissions: { contents: read }\njobs:\n  call:\n    uses: ./.github/workflows/called.yml\n`
    const asked = needsNone.replace('{ packages: write }', 'read-all')
    const [first] = await together({ caller: text, called: asked })
    expect(parse(first!.text).permissions).toEqual({ contents: 'read', actions: 'read', 'id-token': 'write' })
  })

  test.each([
    ['hands on another run', caller(call('inputs.other')), 'is not known to be of the run'],
    [
      'cannot be rewritten',
      caller(call('fromJson(inputs.port_context).runId')).replace(
        '- run: work',
        '- &a { run: work }\n      - *a',
      ),
      'it uses YAML anchors',
    ],
  ])('stay as they are where one of them %s', async (_, text, message) => {
    const [first, second] = await together({ caller: text, called })
    expect([first!.text, second!.text]).toEqual([text, called])
    expect(said(first!)).toContain(message)
    expect(said(second!)).toContain('todo: caller.yml calls it')
  })
})
