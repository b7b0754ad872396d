import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkWorkflow } from '../support/player/check-workflow.ts'

const FOLDER = join(import.meta.dirname, '../fixtures/migrate')
const guide = readFileSync(join(import.meta.dirname, '../../docs/migrate.md'), 'utf8')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')
const lines = (name: string) =>
  read(name)
    .split('\n')
    .filter(line => line.trim() !== '').length

describe.each(['deploy', 'scaffold', 'restart'])('the workflow %s', name => {
  test.each(['before', 'after'])('%s parses without a warning, and stands in docs/migrate.md', async when => {
    const file = `${name}-${when}.yml`
    expect(await checkWorkflow(join(FOLDER, file))).toEqual({ errors: [] })
    expect(guide).toContain(`\`\`\`yaml\n${read(file)}\`\`\``)
  })

  test('is at least 35 % shorter after, and the guide says by how much', () => {
    const [before, after] = [lines(`${name}-before.yml`), lines(`${name}-after.yml`)]
    expect(after / before).toBeLessThanOrEqual(0.65)
    expect(guide).toContain(`${before} lines before, ${after} after`)
  })
})
