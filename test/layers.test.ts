import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** `to` is a file of this project, or the name of a package. */
type Import = Record<'from' | 'to', string>

/** The layers of each half, from the top. A file can import from its own layer and from the layers below. */
const LAYERS = [
  ['action/main.ts', 'action/post.ts', 'action/progress.ts'],
  ['action/start.ts', 'action/finish.ts'],
  ['action/conclusion.ts', 'action/remaining.ts', 'action/unsent.ts', 'action/progress/'],
  ['action/summary.ts', 'action/outputs.ts', 'action/ownership.ts', 'action/complete-inputs.ts'],
  ['action/steps/', 'action/reporter/'],
  ['action/secrets/'],
  ['action/runner/'],
  ['relay/main.ts', 'relay/lambda.ts', 'relay/lambda-handler.ts'],
  ['relay/cli/'],
  ['relay/relay.ts'],
  ['relay/http/app.ts'],
  ['relay/intake/', 'relay/reports/', 'relay/admin/', 'relay/workers/', 'relay/route-deps.ts'],
  ['relay/store/', 'relay/http/'],
  ['relay/delivery/'],
  ['relay/github/'],
  ['relay/config/'],
  ['relay/log.ts', 'relay/cache.ts'],
]
const part = (file: string) => file.slice(0, file.indexOf('/') + 1)
const layer = (file: string) => LAYERS.findIndex(places => places.some(place => file.startsWith(place)))

/** Returns the reason why an import violates the layers, or null. */
function fault({ from, to }: Import): string | null {
  if (from.startsWith('tools/')) return null
  if (to.startsWith('tools/')) return from.startsWith('relay/cli/') ? null : 'only relay/cli/ imports tools/'
  const [a, b] = [part(from), part(to)]
  if (!['relay/', 'action/', 'port/'].includes(b)) {
    return /^(test|bench|demo|scripts|examples|docs|deploy)\//.test(to)
      ? 'the product imports only from relay/, action/, port/, and tools/'
      : null
  }
  if (a === 'port/') return b === 'port/' ? null : 'port/ imports neither half'
  if (a !== b) return b === 'port/' ? null : `${a} and ${b} never import each other`
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

const files = ['relay', 'action', 'port'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !/(^|\/)dist\//.test(name))
    .map(name => `${folder}/${name}`),
)
const imports = files.flatMap(file => importsOf(file, readFileSync(join(root, file), 'utf8')))

test('every file in relay/, action/, and port/ imports only from the allowed layers', () => {
  expect(files.length).toBeGreaterThan(40)
  expect(imports.length).toBeGreaterThan(100)
  const faults = imports.flatMap(each => {
    const why = fault(each)
    return why ? [`${each.from} → ${each.to}: ${why}`] : []
  })
  expect(faults).toEqual([])
})

test('there are no import cycles', () => {
  expect(circles(imports)).toEqual([])
})
