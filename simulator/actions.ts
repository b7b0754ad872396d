import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isLocal, type Workflow } from './runner/read-workflow.ts'
import { isOurs, type SimulationWorkflow } from './workflow-file.ts'

/** Replaces `actions/checkout`: copies the repository's files, except those that Git ignores. */
const CHECKOUT = `
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
const root = process.env.SIMULATION_REPOSITORY
try {
  const git = ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const options = { encoding: 'utf8', maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore'] }
  const files = execFileSync('git', git, options).split('\\0').filter(file => file && existsSync(join(root, file)))
  for (const file of files) cpSync(join(root, file), file, { recursive: true, dereference: false })
  console.log(\`Copied the files of \${root}.\`)
} catch {
  console.log(\`Copied nothing: \${root} isn't in a Git repository.\`)
}
`
/** Replaces any other action: sets the outputs that the command line specifies for its step. */
const LEFT_OUT = `
import { randomUUID } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
const all = JSON.parse(readFileSync(new URL('outputs.json', import.meta.url), 'utf8'))
const outputs = Object.entries(all[process.env.GITHUB_ACTION] ?? {})
for (const [name, value] of outputs) {
  const end = randomUUID()
  appendFileSync(process.env.GITHUB_OUTPUT, [name + '<<' + end, value, end, ''].join('\\n'))
}
const names = outputs.map(([name]) => name).join(', ')
console.log(names ? 'Left out of the simulation. The command line sets these outputs: ' + names + '.' : 'Left out of the simulation: its outputs are empty.')
`

interface PlaceOptions {
  /** The fake Port's URL. */
  portUrl: string
  /** This action's credentials, if the workflow has none because it reports through OIDC. */
  credentials: { clientId: string; clientSecret: string } | null
  /** Outputs of omitted actions, by `STEP.NAME`. */
  outputs: Record<string, string>
}

/**
 * Writes a workflow's actions to a folder: this action, with the fake Port as its API, and placeholders for the others,
 * which aren't downloaded.
 *
 * @returns `uses:` value → folder, and a message for each omitted action
 * @throws Error if an output is specified for a step that produces its own outputs
 */
export function placeActions(
  folder: string,
  { name, workflow }: SimulationWorkflow,
  { portUrl, credentials, outputs: given }: PlaceOptions,
): { actions: Record<string, string>; leftOut: string[] } {
  const [job, ...more] = workflow.jobs
  const isWhole = more.length > 0 || Boolean(job?.uses) || 'matrix' in (job?.strategy ?? {})
  const own = placeOwn(folder, portUrl, credentials, isWhole)
  const steps = workflow.jobs.flatMap(job => job.steps)
  const outputs = outputsByStep(name, workflow, given)
  const others = Map.groupBy(steps, ({ uses }) => uses ?? '')
  const actions: Record<string, string> = {}
  const [empty, filled]: [string[], string[]] = [[], []]
  for (const [uses, users] of others) {
    if (uses === '' || isLocal(uses) || isOurs(uses)) continue
    const place = join(folder, uses.replaceAll(/[^\w.-]/g, '-'))
    const inputs = users.flatMap(step => Object.keys(step.with))
    putAction(place, isCheckout(uses) ? CHECKOUT : LEFT_OUT, inputs, outputs)
    actions[uses] = place
    if (isCheckout(uses)) continue
    const names = users.flatMap(({ id }) => Object.keys(outputs[id] ?? {}).map(output => `${id}.${output}`))
    if (names.length > 0) filled.push(`Left out: ${uses}. You have set these outputs: ${names.join(', ')}.`)
    else empty.push(uses)
  }
  // The placeholders also replace actions that only composite actions and reusable workflows of the repository use.
  const [checkout, other] = [join(folder, 'checkout'), join(folder, 'other')]
  putAction(checkout, CHECKOUT, [], {})
  putAction(other, LEFT_OUT, [], outputs)
  const further = { 'actions/checkout@*': checkout, '[!.$]*/**': other }
  const leftOut = [
    ...filled,
    ...(empty.length > 0 ? [`Left out, with empty outputs: ${empty.join(', ')}.`] : []),
  ]
  return { actions: { '*/port-webhook-action@?*': own, ...actions, ...further }, leftOut }
}

const isCheckout = (uses: string) => uses.startsWith('actions/checkout@')

/** Copies this action to the folder, from the repository or from the files next to the bundle. */
function placeOwn(
  folder: string,
  portUrl: string,
  credentials: PlaceOptions['credentials'],
  isWhole: boolean,
): string {
  const own = join(folder, 'own')
  const bundled = existsSync(join(import.meta.dirname, 'action.yml'))
  const from = bundled ? import.meta.dirname : resolve(import.meta.dirname, '..')
  cpSync(join(from, 'action/dist'), join(own, 'action/dist'), { recursive: true })
  let definition = readFileSync(join(from, 'action.yml'), 'utf8')
  const setDefault = (input: string, value: string) => {
    definition = definition.replace(
      new RegExp(`(\\n  ${input}:\\n(?: {4}.*\\n)*? {4}default: ).*`),
      `$1${JSON.stringify(value)}`,
    )
  }
  setDefault('port-api-url', portUrl)
  if (credentials) setDefault('port-client-id', credentials.clientId)
  if (credentials) setDefault('port-client-secret', credentials.clientSecret)
  // The job doesn't finish the Port run, because on GitHub, the relay would wait for all jobs.
  if (credentials && isWhole) setDefault('report', 'workflow')
  writeFileSync(join(own, 'action.yml'), definition)
  return own
}

/** Groups the outputs by step. Checks the workflow's own steps, but not the steps of workflows and actions that it uses. */
function outputsByStep(name: string, { jobs }: Workflow, given: Record<string, string>) {
  const outputs: Record<string, Record<string, string>> = {}
  const steps = jobs.flatMap(job => job.steps)
  const hasMore = [...jobs, ...steps].some(({ uses }) => uses && isLocal(uses))
  for (const [key, value] of Object.entries(given)) {
    const [id, output] = key.split('.') as [string, string]
    const step = steps.find(each => each.named && each.id === id)
    const isLeftOut = step?.uses && !isOurs(step.uses) && !isCheckout(step.uses) && !isLocal(step.uses)
    if (step && !isLeftOut)
      throw new Error(
        `--output ${key} has no effect: step ${id} of ${name} runs and sets its own outputs. Set outputs only for omitted actions.`,
      )
    if (!step && !hasMore)
      throw new Error(`--output ${key} has no effect: no step of ${name} has the id ${id}.`)
    outputs[id] = { ...outputs[id], [output]: value }
  }
  return outputs
}

function putAction(folder: string, script: string, inputs: string[], outputs: object): void {
  mkdirSync(folder, { recursive: true })
  const declared = Object.fromEntries(inputs.map(name => [name, { description: name }]))
  const runs = { using: 'node24', main: 'main.mjs' }
  const definition = { name: 'placeholder', description: 'placeholder', inputs: declared, runs }
  writeFileSync(join(folder, 'action.yml'), JSON.stringify(definition))
  writeFileSync(join(folder, 'outputs.json'), JSON.stringify(outputs))
  writeFileSync(join(folder, 'main.mjs'), script)
}

type Texts = Record<string, string>
type Client = { clientId: string; clientSecret: string }

/** The credentials with which a workflow reports to the fake Port. */
export interface Credentials {
  /** The fake Port's credentials from the command line; missing credentials are generated. */
  port: Partial<Client>
  /** Whether the workflow has no credentials and authenticates to the relay through OIDC. */
  byOidc: boolean
  /** The repository's secrets and variables: those from the command line, and the fake Port's credentials. */
  given(client: Client): { secrets: Texts; vars: Texts }
  /** Notes for the user, one message each. */
  notes: string[]
}

/** Finds the names of a workflow's Port credentials, and the other secrets and variables that the workflow reads, but that aren't set. */
export function findCredentials(yaml: string, options: { secrets: Texts; vars: Texts }): Credentials {
  const names: { input: 'clientId' | 'clientSecret'; context: 'secrets' | 'vars'; name: string }[] = [
    { input: 'clientId', context: 'vars', name: 'PORT_CLIENT_ID' },
    { input: 'clientSecret', context: 'secrets', name: 'PORT_CLIENT_SECRET' },
  ]
  for (const [, input, context, name] of yaml.matchAll(
    /port-client-(id|secret):\s*["']?\$\{\{\s*(vars|secrets)\.(\w+)/g,
  )) {
    names.push({
      input: input === 'id' ? 'clientId' : 'clientSecret',
      context: context as 'vars' | 'secrets',
      name: name!,
    })
  }
  const port: Partial<Client> = {}
  for (const { input, context, name } of names)
    if (options[context][name]) port[input] = options[context][name]

  const byOidc = !/port-client-secret:/.test(yaml) && /id-token:\s*write|permissions:\s*write-all/.test(yaml)
  const isGiven = (context: 'secrets' | 'vars', name: string) =>
    ['GITHUB_TOKEN', 'PORT_API_URL'].includes(name) ||
    name in options[context] ||
    names.some(each => each.context === context && each.name === name)
  const read = [...yaml.matchAll(/\b(secrets|vars)\.(\w+)/g)].map(([text, context, name]) => ({
    text,
    given: isGiven(context as 'secrets' | 'vars', name!),
  }))
  const empty = [...new Set(read.filter(({ given }) => !given).map(({ text }) => text))]
  return {
    port,
    byOidc,
    given(client) {
      const all = { secrets: { ...options.secrets }, vars: { ...options.vars } }
      for (const { input, context, name } of names) all[context][name] = client[input]
      return all
    },
    notes: [
      ...(byOidc
        ? ['The action reports directly to the fake Port here, and through the relay on GitHub.']
        : []),
      ...(empty.length > 0
        ? [`Empty here: ${empty.join(', ')}. Set them with --secret NAME=VALUE and --var NAME=VALUE.`]
        : []),
    ],
  }
}
