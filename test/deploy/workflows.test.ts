import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../..')
const text = (file: string) => readFileSync(join(root, file), 'utf8')
const files = globSync('.github/workflows/*.yml', { cwd: root }).sort()

interface Step {
  uses?: string
  run?: string
  with?: Record<string, unknown>
}
type Job = { permissions?: object; steps: Step[]; 'timeout-minutes'?: number }
const jobsOf = (file: string): [string, Job][] => Object.entries(parse(text(file)).jobs)

describe.each(files)('%s', file => {
  const steps = jobsOf(file).flatMap(([, job]) => job.steps)

  test('pins each third-party action to a commit, with the version in a comment', () => {
    const used = [...text(file).matchAll(/uses: (\S+)(.*)$/gm)].filter(
      ([, action]) => !action!.startsWith('./'),
    )
    for (const [, action, comment] of used) {
      expect(action).toMatch(/^[\w-]+\/[\w./-]+@[\da-f]{40}$/)
      expect(comment, action).toMatch(/^ # v\d+\.\d+\.\d+$/)
    }
  })

  test('limits its token to the declared permissions, has a timeout, and leaves no credential behind', () => {
    expect(parse(text(file)).permissions).toBeDefined()
    for (const [name, job] of jobsOf(file)) expect(job['timeout-minutes'], name).toBeGreaterThan(0)
    for (const step of steps.filter(({ uses }) => uses?.startsWith('actions/checkout@')))
      expect(step.with).toMatchObject({ 'persist-credentials': false })
  })
})

test('the scripts install packages only with a lock file', () => {
  const { scripts } = JSON.parse(text('package.json'))
  expect(Object.values(scripts).join('\n')).not.toMatch(/\bnpx\b|npm (i|install)\b/)
})

test('a release needs every check, starts as a draft, and moves v1 last', () => {
  const { jobs } = parse(text('.github/workflows/release.yml'))
  expect(jobs.check.steps.map(({ run }: Step) => run)).toContain('.ci/run')
  expect(jobs.draft.needs).toBe('check')
  for (const name of ['package', 'image']) expect(jobs[name].needs).toBe('draft')
  expect(jobs.release.needs).toEqual(['package', 'image'])
  const all = (name: string) => jobs[name].steps.map(({ run, uses }: Step) => run ?? uses).join('\n')
  expect(all('draft')).toMatch(/gh release create .* --draft --verify-tag/)
  expect(all('package')).toMatch(/npm sbom[\s\S]*actions\/attest@[\s\S]*npm publish --provenance .*$/)
  expect(all('image')).toMatch(/--provenance mode=max --sbom true[\s\S]*actions\/attest@/)
  expect(all('release')).toMatch(/\$DIGEST[\s\S]*--draft=false[\s\S]*refs\/tags\/\$major/)
})

test('only jobs that publish, scan, or open an issue request write permissions', () => {
  const writing = files.flatMap(file =>
    jobsOf(file)
      .filter(([, { permissions = {} }]) => Object.values(permissions).includes('write'))
      .map(([name]) => `${file.replace('.github/workflows/', '')} ${name}`),
  )
  expect(writing.sort()).toEqual([
    ...['release.yml draft', 'release.yml image', 'release.yml package', 'release.yml release'],
    ...['scan.yml codeql', 'schemas.yml compare', 'site.yml publish'],
  ])
})

test('no install script runs on any platform, unless package.json allows the script', () => {
  expect(text('.npmrc')).toMatch(/^strict-allow-scripts=true$/m)
  const { packages } = JSON.parse(text('package-lock.json'))
  const scripted = Object.keys(packages).filter(path => packages[path].hasInstallScript)
  const { allowScripts } = JSON.parse(text('package.json'))
  const names = scripted.map(path => path.replace(/^.*node_modules\//, ''))
  expect(names.sort()).toEqual(Object.keys(allowScripts))
  // An npm version that doesn't know the setting would run all install scripts.
  for (const file of ['.ci/run', '.github/workflows/release.yml'])
    expect(text(file)).toMatch(/npm ci --help \| grep .*strict-allow-scripts[\s\S]*npm ci --no-audit/)
})
