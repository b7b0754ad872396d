import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Workflow } from '../../test/support/player/read-workflow.ts'
import { isOurs } from './read-trial-workflow.ts'

const PROJECT = resolve(import.meta.dirname, '../..')

/** In place of `actions/checkout`: the files of the repository as they lie there, but for those that Git ignores. */
const CHECKOUT = `
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
const root = process.env.TRIAL_REPOSITORY
try {
  const git = ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const options = { encoding: 'utf8', maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore'] }
  const files = execFileSync('git', git, options).split('\\0').filter(file => file && existsSync(join(root, file)))
  for (const file of files) cpSync(join(root, file), file, { recursive: true, dereference: false })
  console.log(\`Copied the files of \${root}.\`)
} catch {
  console.log(\`Copied nothing: \${root} is not in a Git repository.\`)
}
`
const LEFT_OUT = "console.log('Left out of the trial: its outputs are empty.')\n"

/**
 * Puts the actions of a workflow into a folder: this one, with the stand-in in place of Port, and for every other a
 * step that does next to nothing, since nothing is fetched.
 *
 * @param credentials this action's credentials where the workflow has none, because it reports by OIDC
 * @returns what stands behind `uses:` → folder, for the player, and which actions were left out
 */
export function placeActions(
  folder: string,
  workflow: Workflow,
  portUrl: string,
  credentials: { clientId: string; clientSecret: string } | null,
): { actions: Record<string, string>; leftOut: string[] } {
  const own = join(folder, 'own')
  cpSync(join(PROJECT, 'action/dist'), join(own, 'action/dist'), { recursive: true })
  let definition = readFileSync(join(PROJECT, 'action.yml'), 'utf8')
  const setDefault = (input: string, value: string) => {
    definition = definition.replace(
      new RegExp(`(\\n  ${input}:\\n(?: {4}.*\\n)*? {4}default: ).*`),
      `$1${JSON.stringify(value)}`,
    )
  }
  setDefault('port-api-url', portUrl)
  if (credentials) setDefault('port-client-id', credentials.clientId)
  if (credentials) setDefault('port-client-secret', credentials.clientSecret)
  writeFileSync(join(own, 'action.yml'), definition)

  const steps = workflow.jobs.flatMap(job => job.steps)
  const others = Map.groupBy(steps, ({ uses }) => uses ?? '')
  const actions: Record<string, string> = {}
  const leftOut: string[] = []
  for (const [uses, users] of others) {
    if (uses === '' || uses.startsWith('./') || isOurs(uses)) continue
    const isCheckout = uses.startsWith('actions/checkout@')
    const place = join(folder, uses.replaceAll(/[^\w.-]/g, '-'))
    const inputs = users.flatMap(step => Object.keys(step.with))
    putAction(place, isCheckout ? CHECKOUT : LEFT_OUT, inputs)
    actions[uses] = place
    if (!isCheckout) leftOut.push(uses)
  }
  // Those that composite actions and reusable workflows of the repository use.
  const [checkout, other] = [join(folder, 'checkout'), join(folder, 'other')]
  putAction(checkout, CHECKOUT, [])
  putAction(other, LEFT_OUT, [])
  const further = { 'actions/checkout@*': checkout, '[!.]*/**': other }
  return { actions: { '*/port-webhook-action@?*': own, ...actions, ...further }, leftOut }
}

function putAction(folder: string, script: string, inputs: string[]): void {
  mkdirSync(folder, { recursive: true })
  const declared = Object.fromEntries(inputs.map(name => [name, { description: name }]))
  const runs = { using: 'node24', main: 'main.mjs' }
  const definition = { name: 'stand-in', description: 'stand-in', inputs: declared, runs }
  writeFileSync(join(folder, 'action.yml'), JSON.stringify(definition))
  writeFileSync(join(folder, 'main.mjs'), script)
}
