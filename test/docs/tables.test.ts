/** Tests that the documentation lists exactly the settings, routes, and commands that exist. */
import { globSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { commands } from '../../cli/commands.ts'
import { createAdmin } from '../../relay/admin/routes.ts'
import { createApp } from '../../relay/app.ts'
import { readConfig, VARIABLES } from '../../relay/config/config.ts'
import { createReports } from '../../relay/reports/routes.ts'
import { code, codes, pages, root, rows, text } from './pages.ts'

const action = parse(text('action.yml'))
const SECRET = 'x'.repeat(16)
const REQUIRED = { PORT_CLIENT_SECRET: 'secret', GITHUB_TOKEN: 'token', RELAY_REPOSITORY: 'acme/shop' }

describe("the action's inputs", () => {
  const documented = rows('docs/action.md', 'Inputs')

  test('match action.yml, in the same order', () => {
    expect(documented.map(([name]) => code(name!))).toEqual(Object.keys(action.inputs))
  })

  test.each(documented)('%s has the default value from action.yml', (name, _meaning, cell) => {
    const { default: value } = action.inputs[code(name!)!]
    expect(code(cell!) ?? '').toBe(value)
  })
})

test("the action's outputs match action.yml, in the same order", () => {
  expect(rows('docs/action.md', 'Outputs').map(([name]) => code(name!))).toEqual(Object.keys(action.outputs))
})

describe("the relay's variables", () => {
  const documented = rows('docs/configuration.md', 'Variables')
  const files = VARIABLES.filter(name => name.endsWith('_FILE'))

  test('include all variables that the relay reads', () => {
    const known = VARIABLES.filter(name => !files.includes(name))
    expect(known.length).toBeGreaterThan(20)
    expect(documented.map(([name]) => code(name!)).sort()).toEqual([...known].sort())
  })

  const withDefault = documented.flatMap(([name, , cell]) => {
    const value = code(cell!)
    return value === undefined ? [] : [[code(name!)!, value]]
  })
  test.each(withDefault)('%s has the default %s', (name, value) => {
    expect(readConfig({ ...REQUIRED, [name!]: value })).toEqual(readConfig(REQUIRED))
  })

  test('can be read from a file if the page says so', () => {
    const page = text('docs/configuration.md')
    const [, sentence] = /^(`PORT_CLIENT_SECRET`,[\s\S]*?) can also come from a file/m.exec(page)!
    expect(sentence!.match(/[A-Z_]{4,}/g)?.map(name => `${name}_FILE`)).toEqual(files)
  })

  test('in the example file are valid and, with the secrets, sufficient to start the relay', () => {
    const lines = text('deploy/relay.env.example')
    const names = [...lines.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map(([, name]) => name!)
    expect(VARIABLES).toEqual(expect.arrayContaining(names))
    const filled = [...lines.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value || SECRET])
    // The example file omits these secrets, because they are in files.
    const secrets = { PORT_CLIENT_SECRET: SECRET, GITHUB_TOKEN: 'token' }
    const config = readConfig({ ...secrets, ...Object.fromEntries(filled) })
    expect(config.targets.repository).toBe('acme/shop')
  })

  test.each(pages)('are the only variables that %s mentions', page => {
    // The changelog mentions removed variables.
    if (page === 'CHANGELOG.md') return
    const named = [...text(page).matchAll(/\bRELAY_[A-Z_]+[A-Z]\b/g)].map(([name]) => name)
    expect(VARIABLES).toEqual(expect.arrayContaining([...new Set(named)]))
  })
})

test("the relay's routes match the HTTP API page", () => {
  const config = readConfig({ ...REQUIRED, RELAY_PUBLIC_URL: 'https://relay.example.com' })
  const nothing = {} as never
  const deps = { config, store: nothing, apply: nothing, clock: Date.now, log: nothing, throttled: nothing }
  const reports = createReports({ ...deps, github: nothing, port: nothing, findByTitle: nothing })
  const store = { clock: Date.now } as never
  const sources = {
    roles: nothing,
    port: nothing,
    github: nothing,
    pauses: nothing,
    freezes: nothing,
    sides: nothing,
    refusals: nothing,
    health: nothing,
  }
  const admin = createAdmin({ ...deps, ...sources, store, checkDatabase: nothing })
  const routes = { receiveGitHub: nothing, metricsRoute: nothing, readinessRoute: nothing }
  const { app } = createApp({ ...deps, ...routes, reports, admin, checkDatabase: nothing, challengeKey: '' })
  const served = app.routes
    .filter(({ method, path }) => method !== 'ALL' && !path.endsWith('*'))
    .map(({ method, path }) => `${method} ${path.replace(/(.)\/$/, '$1')}`)
  // A single handler for all methods.
  for (const path of ['/webhook', '/webhook/:owner/:repo'])
    served.push(...['POST', 'PUT', 'PATCH', 'DELETE'].map(method => `${method} ${path}`))
  const documented = rows('docs/http-api.md', 'Addresses').flatMap(([cell]) => {
    let [method, path] = ['', '']
    return codes(cell!).map(span => {
      const given = span.split(' ')
      method = given.find(part => !part.startsWith('/')) ?? method
      path = given.find(part => part.startsWith('/')) ?? path
      return `${method} ${path}`
    })
  })
  expect(documented.sort()).toEqual([...new Set(served)].sort())
})

test("the relay's commands match the commands page", () => {
  const headings = [...text('docs/commands.md').matchAll(/^## (`[^:\n]+)/gm)]
  expect(headings.flatMap(([, heading]) => codes(heading!)).sort()).toEqual(
    commands.map(({ name }) => name).sort(),
  )
})

test("the runbook's symptoms are words that the relay uses", () => {
  const sources = globSync('{relay,port}/**/*.ts', { cwd: root, exclude: ['**/dist/**'] })
    .map(text)
    .join()
  const symptoms = rows('docs/runbook.md', 'Symptoms').flatMap(cells => codes(cells.join()))
  expect(symptoms.length).toBeGreaterThan(15)
  expect(symptoms.filter(words => !sources.includes(words))).toEqual([])
})

const scripts = Object.keys(JSON.parse(text('package.json')).scripts).filter(name => !/^post/.test(name))

test.each([...pages, '.ci/run'])('%s mentions only npm scripts that exist', page => {
  const named = [...text(page).matchAll(/\bnpm (?:run (?!--)([\w:-]+)|(test|start)\b)/g)]
  expect(scripts).toEqual(expect.arrayContaining(named.map(([, a, b]) => a ?? b)))
})
