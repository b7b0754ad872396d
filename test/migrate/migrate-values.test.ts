import { expect, test } from 'vitest'
import { playAfter } from './play-case.ts'

test.each([
  'x", "blueprint": "user',
  "it's $(touch /tmp/never) `touch /tmp/never`",
  'two\nlines\n---\nblueprint: user',
  '${{ github.token }} \\ "\t"',
])('an entity holds what a person typed as one text: %j', async version => {
  const { entities, log } = await playAfter({
    name: 'upsert-in-the-middle',
    inputs: { version, environment: 'prod' },
    end: 'SUCCESS',
    calls: [],
  })
  expect(entities).toHaveLength(1)
  expect(entities).toMatchObject([{ blueprint: 'deployment', properties: { version, attempt: 1 } }])
  expect(log).toContain(version.split('\n')[0])
})
