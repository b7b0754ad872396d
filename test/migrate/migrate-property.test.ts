import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { checkWorkflow } from '../../relay/commands/migrate/check-workflow.ts'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import type { MigrateOptions } from '../../relay/commands/migrate/types.ts'
import { generatedWorkflow } from './generate-workflow.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
console.log(`SEED=${seed}`)

const options = (on?: MigrateOptions['on']): MigrateOptions => ({
  ...(on && { on }),
  eventType: 'act',
  action: 'org/port-webhook-action@v1',
  credentials: false,
  keepLogs: false,
})

test('50 generated workflows parse after migrate, keep their comments, and stay as they are at a second run', async () => {
  let changed = 0
  await fc.assert(
    fc.asyncProperty(generatedWorkflow(), async ({ text, comments, inputComments, ownLines }) => {
      expect(await checkWorkflow('before.yml', text)).toEqual([])
      for (const on of [undefined, 'repository_dispatch'] as const) {
        const once = migrateWorkflow(text, options(on))
        if (once.changed) changed++
        expect(await checkWorkflow('after.yml', once.text)).toEqual([])
        let at = 0
        const kept = comments.filter(each => on === undefined || !inputComments.includes(each))
        for (const comment of kept) {
          const found = once.text.indexOf(`${comment}\n`, at)
          expect(found, `${comment} in\n${once.text}`).not.toBe(-1)
          at = found
        }
        if (on === undefined) for (const line of ownLines) expect(once.text).toContain(line)
        for (const again of [on, undefined])
          expect(migrateWorkflow(once.text, options(again)).text).toBe(once.text)
        // What is left of Port's own action is what findings name.
        const left = once.text.match(/port-labs\/port-github-action/g)?.length ?? 0
        expect(once.findings.filter(({ level }) => level === 'todo').length).toBeGreaterThanOrEqual(left)
        expect(once.text).not.toContain('port_context')
        expect(() => parse(once.text)).not.toThrow()
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 50), seed, endOnFailure: process.env.RUNS !== undefined },
  )
  expect(changed).toBeGreaterThan(50)
})
