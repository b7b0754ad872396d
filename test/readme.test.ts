import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../relay/config/config.ts'
import { readRoutes } from '../relay/config/routes.ts'
import { parseWorkflow } from './support/player/read-workflow.ts'

const root = join(import.meta.dirname, '..')
const text = (file: string) => readFileSync(join(root, file), 'utf8')
const readme = text('README.md')
const action = parse(text('action.yml'))
const config = text('relay/config/config.ts')

/** The rows of the tables under a heading, each as its cells. */
function rows(heading: string): string[][] {
  const section = readme.split(/^#{2,3} /m).find(part => part.startsWith(`${heading}\n`))
  if (!section) throw new Error(`README.md has no heading "${heading}"`)
  return section
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
}

/** What stands in a cell between backticks, when nothing else does. */
const code = (cell: string) => /^`([^`]+)`$/.exec(cell)?.[1]

const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^( *)\`\`\`${language}\n([\\s\\S]*?)^ *\`\`\`$`, 'gm'))].map(
    ([, indent, block]) => block!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  )

const REQUIRED = { PORT_CLIENT_SECRET: 'secret', GITHUB_TOKEN: 'token', RELAY_REPOSITORY: 'acme/shop' }

describe("the README's inputs", () => {
  test('are those of action.yml, in its order', () => {
    expect(rows('Inputs').map(([name]) => code(name!))).toEqual(Object.keys(action.inputs))
  })

  test.each(rows('Inputs'))('%s has the default of action.yml', (name, _meaning, cell) => {
    const { default: value } = action.inputs[code(name!)!]
    expect(code(cell!) ?? '').toBe(value)
  })
})

test('each npm script stands in the README, or in CONTRIBUTING.md', () => {
  const pages = readme + text('CONTRIBUTING.md')
  const scripts = Object.keys(JSON.parse(text('package.json')).scripts)
  const missing = scripts.filter(name => !new RegExp(`\\bnpm (?:run )?${name}\\b(?!:)`).test(pages))
  expect(missing).toEqual([])
})

test("the README's outputs are those of action.yml, in its order", () => {
  expect(rows('Outputs').map(([name]) => code(name!))).toEqual(Object.keys(action.outputs))
})

describe("the README's variables", () => {
  const schema = /const variables = z\.object\(\{\n([\s\S]*?)^\}\)/m.exec(config)![1]!
  const known = [...schema.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name!)

  test('are all that the relay reads', () => {
    expect(known.length).toBeGreaterThan(20)
    expect(
      rows('Variables')
        .map(([name]) => code(name!))
        .sort(),
    ).toEqual([...known].sort())
  })

  const withDefault = rows('Variables').flatMap(([name, , cell]) => {
    const value = code(cell!)
    return value === undefined ? [] : [[code(name!)!, value]]
  })
  test.each(withDefault)('%s has the default %s', (name, value) => {
    expect(readConfig({ ...REQUIRED, [name!]: value })).toEqual(readConfig(REQUIRED))
  })

  test('may come from a file where the README says so', () => {
    const secrets = /const SECRETS = \[([\s\S]*?)\]/.exec(config)![1]!.match(/[A-Z_]+/g)!
    const sentence = /^(`PORT_CLIENT_SECRET`,[\s\S]*?) may also come from a file/m.exec(readme)![1]!
    expect(sentence.match(/[A-Z_]{4,}/g)).toEqual(secrets)
  })

  test('of the example file are known, and enough to start with', () => {
    const lines = text('deploy/relay.env.example')
    const names = [...lines.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map(([, name]) => name!)
    expect(known).toEqual(expect.arrayContaining(names))
    const filled = Object.fromEntries(
      [...lines.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value || 'x']),
    )
    expect(readConfig(filled).targets.repository).toBe('acme/shop')
  })
})

describe("the README's examples", () => {
  const definition = text('examples/deploy/port-action.full-context.json')

  test('hold the Port action that the tests of the examples check', () => {
    expect(blocks('json')).toContain(definition)
  })

  test('hold a workflow that GitHub reads, for that action', async () => {
    const [workflow] = blocks('yaml')
    expect((await parseWorkflow('deploy.yml', workflow!)).errors).toEqual([])
    const { on, jobs } = parse(workflow!)
    const { identifier, trigger } = JSON.parse(definition)
    expect(on.repository_dispatch.types).toEqual([identifier])
    const [step] = jobs.deploy.steps
    expect(step.uses).toBe('org/port-webhook-action@v1')
    expect(Object.keys(action.inputs)).toEqual(expect.arrayContaining(Object.keys(step.with)))
    const read = [...workflow!.matchAll(/steps\.port\.outputs\.([\w-]+)/g)].map(([, name]) => name)
    expect(Object.keys(trigger.userInputs.properties)).toEqual(expect.arrayContaining(read))
  })

  test('hold a workflow without a secret that asks for what the whole example asks for', () => {
    const short = parse(blocks('yaml').find(block => block.startsWith('permissions:'))!)
    const whole = parse(text('examples/deploy-oidc/deploy.yml'))
    expect(short.permissions).toEqual(whole.permissions)
    expect(short.jobs.deploy.steps).toEqual(whole.jobs.deploy.steps.slice(0, 1))
  })

  test('hold routes that the relay reads', () => {
    const problems: string[] = []
    const routes = blocks('yaml').find(block => block.startsWith('- match'))
    expect(readRoutes('routes.yml', () => routes!, problems)).toHaveLength(2)
    expect(problems).toEqual([])
  })
})

const pages = [
  'README.md',
  'examples/README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...globSync('docs/*.md', { cwd: root }).sort(),
]

test('the README links to each page of docs/', () => {
  const linked = [...readme.matchAll(/\]\((docs\/[^)]+)\)/g)].map(([, link]) => link)
  expect(linked).toEqual(expect.arrayContaining(pages.filter(page => page.startsWith('docs/'))))
})

/** The anchors that GitHub gives to the headings of a page. */
const anchors = (file: string) =>
  [...text(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

test.each(pages)('%s links to files and headings that exist', file => {
  for (const [, link] of text(file).matchAll(/\]\(([^)]+)\)/g)) {
    if (/^https?:/.test(link!)) continue
    const [path, anchor] = link!.split('#')
    const target = path ? join(file, '..', path) : file
    expect(existsSync(join(root, target)), link).toBe(true)
    if (anchor) expect(anchors(target), link).toContain(anchor)
  }
})

test.each(['README.md', 'CONTRIBUTING.md', '.ci/run'])('%s names only npm scripts that exist', file => {
  const { scripts } = JSON.parse(text('package.json'))
  const named = [...text(file).matchAll(/\bnpm (?:run ([\w-]+)|(test|start)\b)/g)].map(([, a, b]) => a ?? b)
  expect(named.length).toBeGreaterThan(0)
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
})
