import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** `to` is a file of this project, or the name of a package. */
type Import = Record<'from' | 'to', string>

/** For each folder, the other folders from which it can import. Folders that aren't listed can import from all folders. */
const FOLDERS: Record<string, string[]> = {
  port: [],
  action: ['port'],
  'workflow-files': ['port'],
  relay: ['port', 'workflow-files'],
  simulator: ['port', 'workflow-files'],
  cli: ['port', 'workflow-files', 'relay', 'simulator'],
}

/** The layers within a folder, from the top. A file can import from its own layer and from the layers below. */
const LAYERS = [
  ['action/main.ts', 'action/post.ts', 'action/progress.ts'],
  ['action/start.ts', 'action/finish.ts'],
  ['action/conclusion.ts', 'action/remaining.ts', 'action/progress/'],
  ['action/summary.ts', 'action/outputs.ts', 'action/ownership.ts', 'action/complete-inputs.ts'],
  ['action/steps/', 'action/reporter/'],
  ['action/secrets/'],
  ['action/runner/'],
  ['relay/lambda.ts', 'relay/lambda-handler.ts'],
  ['relay/relay.ts'],
  ['relay/app.ts'],
  ['relay/intake/', 'relay/reports/', 'relay/admin/', 'relay/workers/', 'relay/route-deps.ts'],
  ['relay/store/', 'relay/http/'],
  ['relay/delivery/'],
  ['relay/github/'],
  ['relay/config/'],
  ['relay/log.ts', 'relay/cache.ts'],
]
const folderOf = (file: string) => file.slice(0, Math.max(0, file.indexOf('/')))
const layer = (file: string) => LAYERS.findIndex(places => places.some(place => file.startsWith(place)))

/** Returns the reason why an import violates the layers, or null. */
function fault({ from, to }: Import): string | null {
  const [a, b] = [folderOf(from), folderOf(to)]
  const allowed = FOLDERS[a]
  if (!allowed || !folders.includes(b)) return null
  if (a !== b) return allowed.includes(b) ? null : `${a}/ can't import from ${b}/`
  if (a !== 'relay' && a !== 'action') return null
  if (layer(from) < 0 || layer(to) < 0) return 'LAYERS does not contain the file'
  return layer(from) <= layer(to) ? null : 'it is an import from a higher layer'
}

/** Returns the files of every import cycle. */
function circles(imports: Import[]): string[] {
  const edges = new Map<string, string[]>()
  for (const { from, to } of imports) edges.set(from, [...(edges.get(from) ?? []), to])
  const found: string[] = []
  const done = new Set<string>()
  const visit = (file: string, path: string[]) => {
    if (path.includes(file)) return void found.push([...path.slice(path.indexOf(file)), file].join(' → '))
    if (done.has(file)) return
    for (const next of edges.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of edges.keys()) visit(file, [])
  return found
}

/** Returns every import of a file, including `new URL('./x.ts', import.meta.url)`, as used for threads. */
function importsOf(file: string, text: string): Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s+(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"`]([^'"`]+)['"`]|new URL\(\s*['"`]([^'"`]+)['"`]/gm,
  )
  return [...statements].map(([, plain, dynamic, url]) => {
    const name = (plain ?? dynamic ?? url) as string
    return { from: file, to: name.startsWith('.') ? normalize(join(dirname(file), name)) : name }
  })
}

const files = execFileSync('git', ['ls-files', '*.ts', '*.mjs'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(name => name && !/(^|\/)(dist|fixtures)\//.test(name) && existsSync(join(root, name)))
const folders = [...new Set(files.map(folderOf))].filter(Boolean)
const imports = files.flatMap(file => importsOf(file, readFileSync(join(root, file), 'utf8')))

test('every source file imports only from the allowed folders and layers', () => {
  expect(folders).toEqual(
    expect.arrayContaining([...Object.keys(FOLDERS), 'test', 'bench', 'demo', 'scripts']),
  )
  expect(imports.length).toBeGreaterThan(1_000)
  const faults = imports.flatMap(each => {
    const why = fault(each)
    return why ? [`${each.from} → ${each.to}: ${why}`] : []
  })
  expect(faults).toEqual([])
})

test.each([
  ['relay/intake/receive.ts', 'cli/command.ts'],
  ['simulator/simulate.ts', 'relay/workers/poll.ts'],
  ['workflow-files/dispatch-inputs.ts', 'relay/github/client.ts'],
  ['relay/http/problem.ts', 'relay/app.ts'],
  ['port/text.ts', 'test/support/random.ts'],
])('an import from %s to %s is not allowed', (from, to) => {
  expect(existsSync(join(root, to))).toBe(true)
  expect(fault({ from, to })).not.toBeNull()
})

test('there are no import cycles', () => {
  expect(circles(imports)).toEqual([])
})
