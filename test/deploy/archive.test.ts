import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { startSystem } from '../action/play.ts'
import { temporaryFolder } from '../support/relay.ts'

const root = join(import.meta.dirname, '../..')

/** Unpacks what GitHub's runners download for `uses:`. Returns its folder, the names of its files, and its compressed size. */
function unpackArchive() {
  const folder = temporaryFolder()
  const archive = execFileSync('git', ['archive', '--worktree-attributes', '--format=tar.gz', 'HEAD'], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  })
  execFileSync('tar', ['-xz', '-C', folder], { input: archive })
  const files = execFileSync('tar', ['-tz'], { input: archive, encoding: 'utf8' }).trim().split('\n')
  return { folder, files: files.filter(name => !name.endsWith('/')), bytes: archive.length }
}

const FILES = /^(action\.yml|action\/dist\/.*|LICENSE|README\.md|SECURITY\.md)$/

test('the archive that runners download contains only the files that the action needs', () => {
  const { files, bytes } = unpackArchive()
  expect(files.filter(file => !FILES.test(file))).toEqual([])
  expect(files).toEqual(expect.arrayContaining(['action.yml', 'LICENSE', 'README.md', 'SECURITY.md']))
  expect(bytes).toBeLessThan(200_000)
})

test('the action runs from the archive that runners download, including the bundles that it loads later', async () => {
  const { port, run, simulate } = await startSystem()
  const { folder } = unpackArchive()
  const shown = join(folder, 'shown')
  const running = simulate({
    // The workflow contains `uses: ./`. The entity loads the bundle "yaml", and reading the steps loads "github".
    repositoryRoot: folder,
    steps: `
- name: Deploy
  run: |
    printf 'blueprint: service\\nidentifier: shop\\n' >> "$PORT_ENTITIES"
    until test -e ${shown}; do sleep 0.1; done
    exit 1`,
  })
  await until(() => run.statusLabel === 'Deploy (1/1)', 'the progress reporter shows the running step')
  writeFileSync(shown, '')
  expect((await running).conclusion).toBe('failure')
  expect(run.status).toBe('FAILURE')
  expect(port.entities).toMatchObject([{ blueprint: 'service', identifier: 'shop' }])
})
