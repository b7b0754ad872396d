import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A module in the statistics of webpack, which ncc uses. A concatenated module contains other modules. */
export interface BundledModule {
  resource?: string
  modules?: Iterable<BundledModule>
}

/** Returns the folders of the packages in a bundle. */
export function bundledPackages(modules: Iterable<BundledModule>): string[] {
  return [...modules].flatMap(module => {
    if (module.modules) return bundledPackages(module.modules)
    return module.resource?.includes('node_modules/') ? [packageOf(module.resource)] : []
  })
}

/** Returns the package's root folder. Skips manifests without a version, which some packages have in subfolders. */
function packageOf(path: string): string {
  const folder = dirname(path)
  const file = join(folder, 'package.json')
  if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version) return folder
  return packageOf(folder)
}

/**
 * Returns the licenses of packages as one text, sorted by name and version.
 *
 * @param folders the packages' folders; duplicates are ignored
 */
export function licensesOf(folders: Iterable<string>): string {
  const notices = new Map(
    [...folders].map(folder => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const files = globSync('{[Ll][Ii][Cc][Ee][Nn][CcSs][Ee],[Cc][Oo][Pp][Yy][Ii][Nn][Gg],NOTICE}*', {
        cwd: folder,
        exclude: ['*.{js,json}'],
      })
      const texts = files.toSorted().map(file => readFileSync(join(folder, file), 'utf8').trim())
      if (!license && texts.length === 0) throw new Error(`${folder} names no license`)
      const title = `${name} ${version} (${license})\nhttps://www.npmjs.com/package/${name}`
      return [`${name} ${version}`, [title, ...texts].join('\n\n')]
    }),
  )
  const sorted = [...notices].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text)
  const intro = 'This software contains the following packages.'
  return `${[intro, ...sorted].join(`\n\n${'-'.repeat(80)}\n\n`).replaceAll('\r\n', '\n')}\n`
}
