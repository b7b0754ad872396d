import fc from 'fast-check'

/** A workflow that reports by hand, as somebody might have written it. */
export interface Generated {
  text: string
  /** The comments outside of steps that report, in order. */
  comments: string[]
  /** Those of them that stand among the declared inputs, which go with a `repository_dispatch`. */
  inputComments: string[]
  /** Lines of steps that have nothing to do with Port. */
  ownLines: string[]
}

const RUN_IDS = [
  '${{ fromJson(inputs.port_context).runId }}',
  '${{fromJson(inputs.port_context).run_id}}',
  "'${{ fromJSON(github.event.inputs.port_context).context.runId }}'",
  '"${{ fromJson(inputs.port_context).runId }}"',
]
const CONDITIONS = [
  null,
  'success()',
  'failure()',
  'always()',
  '${{ always() }}',
  '${{ failure() || cancelled() }}',
  "steps.own0.outcome == 'failure'",
  "${{ inputs.version != '' && success() }}",
  'inputs.force',
  "${{ fromJson(inputs.port_context).entity.properties.kind == 'web' }}",
]
const VALUES = [
  'fixed text',
  '${{ inputs.version }}',
  'v${{ inputs.version }} of ${{ github.repository }}',
  '${{ fromJson(inputs.port_context).entity.identifier }}',
  "${{ inputs.force && 'a: b' || '}}' }}",
  'it is 100% #1: done',
]
const OWN = [
  'run: ./build.sh',
  "run: echo '${{ inputs.version }}' # not a comment of YAML's own",
  'uses: actions/checkout@v4',
  'run: |\n  # a comment of the script\n  echo "$VERSION"\n\n  ./deploy.sh ${{ fromJson(inputs.port_context).blueprint }}',
  'env: { VERSION: "${{ inputs.version }}", ENTITY: "${{ fromJson(inputs.port_context).entity.title }}" }\nrun: >-\n  ./deploy.sh\n  "$VERSION"',
  "uses: acme/act@v1\nwith:\n  one: '${{ fromJson(inputs.port_context).entity.relations[''team''] }}'\n  two: \"a \\\"b\\\" ${{ toJSON(fromJson(inputs.port_context).entity) }}\"",
]

type Random = <T>(items: readonly T[]) => T

/** The YAML texts of `value` that mean the same. */
function scalar(value: string, pick: Random, indent: string): string {
  const plain = !/: | #|^[{["'}%]/.test(value)
  const styles = [
    JSON.stringify(value),
    `'${value.replaceAll("'", "''")}'`,
    `|\n${indent}  ${value}`,
    `>-\n${indent}  ${value}`,
    ...(plain ? [value, value] : []),
  ]
  return pick(styles)
}

function reportStep(pick: Random, chance: (n: number) => boolean, index: number): string[] {
  const kind = pick(['log', 'log', 'upsert', 'status', 'delete', 'bulk', 'link', 'get', 'curl'])
  const condition = pick(CONDITIONS)
  const lines = [`name: Report ${index}`]
  if (chance(5)) lines.unshift(`id: report${index}`)
  if (condition) lines.push(`if: ${condition}`)
  if (kind === 'curl') {
    return [
      ...lines,
      'run: |',
      '  curl -X POST "https://api.getport.io/v1/actions/runs/${{ fromJson(inputs.port_context).runId }}/logs" \\',
      "    -H 'Authorization: Bearer ${{ secrets.PORT_TOKEN }}' \\",
      `    -d '{"message": "Version ${'${{ inputs.version }}'}"}'`,
    ]
  }
  const inputs = [
    'clientId: ${{ secrets.PORT_CLIENT_ID }}',
    'clientSecret: ${{ secrets.PORT_CLIENT_SECRET }}',
    `runId: ${pick(RUN_IDS)}`,
  ]
  const value = () => scalar(pick(VALUES), pick, '  ')
  const identifier = scalar(`e-\${{ inputs.version }}`, pick, '  ')
  switch (kind) {
    case 'log':
      inputs.push('operation: PATCH_RUN', `logMessage: ${value()}`)
      break
    case 'status':
      inputs.push(
        'operation: PATCH_RUN',
        `status: ${pick(['SUCCESS', '"FAILURE"', "${{ job.status == 'success' && 'SUCCESS' || 'FAILURE' }}", "${{ steps.own0.outputs.ok == 'yes' && 'SUCCESS' || 'FAILURE' }}"])}`,
        ...(chance(2) ? [`logMessage: ${value()}`] : []),
      )
      break
    case 'link':
      inputs.push(
        'operation: PATCH_RUN',
        `link: '["${'${{ steps.own0.outputs.url }}'}"]'`,
        `summary: ${value()}`,
      )
      break
    case 'delete':
      inputs.push('operation: DELETE', 'blueprint: service', `identifier: ${identifier}`)
      break
    case 'get':
      inputs.push('operation: GET', 'blueprint: service', `identifier: ${identifier}`)
      break
    case 'bulk':
      inputs.push(
        'operation: BULK_UPSERT',
        `entities: '[{"blueprint": "service", "identifier": "${'${{ inputs.version }}'}"}]'`,
      )
      break
    default:
      inputs.push(
        ...(chance(2) ? ['operation: UPSERT'] : []),
        `identifier: ${identifier}`,
        'blueprint: ${{ fromJson(inputs.port_context).blueprint }}',
        ...(chance(2) ? [`title: ${value()}`] : []),
        ...(chance(2) ? ['team: \'["a", "b"]\''] : []),
        pick([
          'properties: |-\n  {\n    "version": "${{ inputs.version }}",\n    "count": ${{ github.run_number }}\n  }',
          'properties: "{}"',
          'properties: ${{ toJSON(github) }}',
          'properties: \'{"text": "a ${{ inputs.version }} b"}\'',
        ]),
        ...(chance(2) ? ['relations: \'{"service": "${{ fromJson(inputs.port_context).entity }}"}\''] : []),
      )
  }
  const around = [
    `uses: port-labs/port-github-action@v1`,
    'with:',
    ...inputs.flatMap(text => indent(text, 2)),
  ]
  return chance(3) ? [...around, ...lines] : [...lines, ...around]
}

const indent = (text: string, by: number): string[] =>
  text.split('\n').map(line => (line === '' ? '' : ' '.repeat(by) + line))

/** Builds a workflow from a stream of numbers, so that a failure shrinks to few of them. */
function build(numbers: number[]): Generated {
  let at = 0
  const next = () => numbers[at++ % numbers.length]! + Math.floor(at / numbers.length)
  const pick: Random = items => items[next() % items.length]!
  const chance = (n: number) => next() % n === 0
  const comments: string[] = []
  const ownLines: string[] = []
  const lines: string[] = []
  const comment = (pad: string) => {
    if (!chance(3)) return
    comments.push(`# comment ${comments.length}`)
    lines.push(pad + comments.at(-1))
  }
  const blank = () => {
    if (chance(3)) lines.push('')
  }

  comment('')
  lines.push('name: Generated')
  blank()
  comment('')
  const context = ['      port_context:', '        required: true', '        type: string']
  const inputs = [
    '      version:',
    '        type: string',
    ...(chance(2) ? ['        default: "1"'] : []),
    '      force:',
    '        type: boolean',
    ...(chance(3) ? ['        default: true'] : []),
  ]
  const outside = comments.length
  const first = chance(2)
  lines.push('on:', '  workflow_dispatch:', '    inputs:')
  comment('      ')
  lines.push(...(first ? context : inputs))
  comment('      ')
  lines.push(...(first ? inputs : context))
  const inputComments = comments.slice(outside)
  blank()
  const permissions = pick([
    [],
    [],
    ['permissions:', '  contents: read'],
    ['permissions: { contents: write }'],
    ['permissions: read-all'],
    ['permissions: {}'],
  ])
  lines.push(...permissions)
  if (chance(3)) lines.push('env:', '  RUN: ${{ fromJson(inputs.port_context).runId }}')
  comment('')
  lines.push('jobs:')
  const jobs = 1 + (next() % 3)
  for (let job = 0; job < jobs; job++) {
    comment('  ')
    lines.push(`  job${job}:`)
    if (job > 0 && chance(2)) lines.push(`    needs: job${job - 1}`)
    if (chance(4)) lines.push('    if: ${{ always() && inputs.force }}')
    lines.push(`    runs-on: ${pick(['ubuntu-latest', '[self-hosted, linux]', 'windows-latest'])}`)
    comment('    ')
    if (chance(5)) lines.push('    strategy:', '      matrix:', '        os: [a, b]')
    lines.push('    steps:')
    const pad = chance(3) ? '    ' : '      '
    const steps = 1 + (next() % 5)
    for (let step = 0; step < steps; step++) {
      blank()
      comment(pad)
      const reports = chance(2)
      const text = reports
        ? reportStep(pick, chance, step)
        : [`id: own${step}`, `name: Own ${step}`, ...pick(OWN).split('\n')]
      const [head, ...rest] = text
      lines.push(`${pad}- ${head}`, ...rest.map(line => (line === '' ? '' : `${pad}  ${line}`)))
      if (!reports) ownLines.push(...text.filter(line => line !== '' && !line.includes('port_context')))
    }
  }
  if (chance(2)) lines.push('')
  return { text: `${lines.join('\n')}\n`, comments, inputComments, ownLines }
}

export const generatedWorkflow = (): fc.Arbitrary<Generated> =>
  fc.array(fc.nat({ max: 1000 }), { minLength: 20, maxLength: 120 }).map(build)
