/**
 * `npm run build`: bundles each entry point with its imports, so that it needs nothing but Node. The action's bundles,
 * unlike the relay's, are committed, because GitHub runs an action from its repository.
 */
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
// @ts-expect-error: no types
import ncc from '@vercel/ncc'
import { bundledPackages, licensesOf } from './scripts/licenses.ts'
import { relayPackage } from './scripts/relay-package.ts'

/** Entry → bundle. A thread's bundle is next to the bundle that starts the thread. */
const bundles = {
  'action/main': 'action/dist/main/index.js',
  'action/post': 'action/dist/post/index.js',
  'action/progress': 'action/dist/progress/index.js',
  'action/github': 'action/dist/github/index.js',
  'action/yaml': 'action/dist/yaml/index.js',
  'cli/main': 'relay/dist/main.js',
  'relay/lambda': 'relay/dist/lambda/index.mjs',
  'relay/store/sqlite/sqlite-thread': 'relay/dist/sqlite-thread.js',
  'relay/store/sqlite/sqlite-checkpoint-thread': 'relay/dist/sqlite-checkpoint-thread.js',
  'simulator/simulate': 'relay/dist/simulator/index.js',
}

/**
 * A stub for undici, which `@actions/http-client`, a dependency of `@actions/core` and `@actions/github`, would load
 * for a `fetch` and a class (440 KB, 35 ms at each start, 15 MB). The action uses its own `fetch`.
 */
const undici = 'export class ProxyAgent {}\nexport const fetch = undefined\n'
const withoutUndici = { undici: '../github/undici.js' }

/** Post and progress share these packages' bundles, and load them on first use. Main never loads them. */
const shared = [
  { package: '@actions/github', entry: 'action/github', file: '../github/index.js', exports: 'getOctokit' },
  { package: 'yaml', entry: 'action/yaml', file: '../yaml/index.js', exports: 'parse' },
]

/** The command `simulate` loads the simulator and the action when it is called, because neither is in the relay's bundle. */
const simulator = { entry: '../simulator/simulate.js', file: './simulator/index.js' }
const simulatorFiles = ['action.yml', 'action/dist/**/*.*']

const LICENSES = 'THIRD_PARTY_LICENSES'

/** The folder for the sources as JavaScript. It is inside the project, so that packages are found. */
const staging = '.build'

process.chdir(import.meta.dirname)
try {
  stripTypes()
  const built: Awaited<ReturnType<typeof bundle>>['files'] = []
  const packages: { entry: string; folder: string }[] = []
  for (const [entry, file] of Object.entries(bundles)) {
    if (!existsSync(join(staging, `${entry}.js`))) continue
    const { files, folders } = await bundle(entry, file)
    const names = new Set(built.map(each => each.file))
    const replaced = files.find(each => each.file.endsWith('.js') && names.has(each.file))
    if (replaced)
      throw new Error(`The bundle of ${entry} would replace ${replaced.file}, a part of another bundle.`)
    built.push(...files)
    packages.push(...folders.map(folder => ({ entry, folder })))
  }
  const licenses = (prefix: string) =>
    licensesOf(packages.filter(({ entry }) => entry.startsWith(prefix)).map(({ folder }) => folder))
  built.push({ file: `action/dist/${LICENSES}`, content: licenses('action/') })
  // The relay's package contains the action, for `simulate`.
  for (const folder of ['relay/dist', 'relay/dist/lambda'])
    built.push({ file: `${folder}/${LICENSES}`, content: licenses('') })
  built.push({ file: 'action/dist/github/undici.js', content: undici }, ...relayPackage('relay/dist'))
  for (const { file, content } of built) {
    write(file, content)
    console.log(`${file}  ${(content.length / 1000).toFixed(1)} KB`)
  }
  for (const file of globSync(simulatorFiles)) {
    const content = readFileSync(file, 'utf8')
    built.push({ file: join('relay/dist/simulator', file), content })
    write(join('relay/dist/simulator', file), content)
  }
  // Old files are removed last, so that a running action finds its files.
  const files = new Set(built.map(({ file }) => file))
  for (const old of globSync('{action,relay}/dist/**/*.*'))
    if (!files.has(old)) rmSync(old, { recursive: true, force: true })
} catch (error) {
  // Without this handler, Node would print a 3 MB line of ncc's minified source.
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(staging, { recursive: true, force: true })
}

/** Removes the types as Node does. `npm run check` checks them. */
function stripTypes(): void {
  // The sources import the version from this file.
  const { type, version } = JSON.parse(readFileSync('package.json', 'utf8'))
  write(join(staging, 'package.json'), JSON.stringify({ type, version }))
  const sources = ['{action,relay,port,workflow-files,simulator,cli}/**/*.ts']
  for (const file of globSync(sources, { exclude: ['**/dist/**'] })) {
    const lazily = (from: string) => `import(/* webpackIgnore: true */ '${from}')`
    let text = stripTypeScriptTypes(readFileSync(file, 'utf8'))
      .replaceAll(/(\bfrom |\bimport\(|^import )'(\.{1,2}\/[^']*)\.ts'/gm, "$1'$2.js'")
      .replaceAll(`import('${simulator.entry}')`, lazily(simulator.file))
    if (file.startsWith('action/')) {
      for (const each of shared) text = text.replaceAll(`import('${each.package}')`, lazily(each.file))
    }
    write(join(staging, file.replace(/\.ts$/, '.js')), text)
  }
  cpSync('simulator/schemas', join(staging, 'simulator/schemas'), { recursive: true })
  for (const { package: from, entry, exports } of shared) {
    write(join(staging, `${entry}.js`), `export { ${exports} } from '${from}'\n`)
  }
}

/** The bundle with the files that it needs next to it, and the folders of the packages in it. */
async function bundle(entry: string, file: string) {
  const { code, assets, stats } = await ncc(join(import.meta.dirname, staging, `${entry}.js`), {
    // Minifying would remove the parentheses without which V8 doesn't store a package's modules in its cache of compiled code.
    minify: entry.startsWith('action/'),
    quiet: true,
    cache: false,
    target: 'es2024',
    externals: entry.startsWith('action/') ? withoutUndici : {},
  })
  const beside = Object.entries<{ source: string }>(assets).map(([name, { source }]) => ({
    file: join(dirname(file), name),
    content: source,
  }))
  const files: { file: string; content: string }[] = [{ file, content: code }, ...beside]
  return { files, folders: bundledPackages(stats.compilation.modules) }
}

function write(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, content)
  renameSync(`${file}.new`, file)
}
