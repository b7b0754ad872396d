import { describe, expect, test } from 'vitest'
import { checkWorkflow } from '../../relay/commands/migrate/check-workflow.ts'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import { CASES } from './cases.ts'
import { beforeOf, migrated, playAfter, playBefore } from './play-case.ts'

const workflows = [...new Map(CASES.map(each => [`${each.name}${each.on ?? ''}`, each])).values()]

test('there are at least 20 workflows', () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBeGreaterThanOrEqual(20)
})

describe.each(workflows)('the workflow $name $on', each => {
  test('is as it should be after migrate, and parses before and after without a warning', async () => {
    const { text } = migrated(each)
    const file = `../fixtures/migrate/cases/${each.name}.${each.on === 'repository_dispatch' ? 'event' : 'after'}.yml`
    await expect(text).toMatchFileSnapshot(file)
    expect(await checkWorkflow('before.yml', beforeOf(each.name))).toEqual([])
    expect(await checkWorkflow('after.yml', text)).toEqual([])
    expect(text).not.toMatch(/port_context|port_payload|port_run_id/)
    for (const part of each.holds ?? []) expect(text).toContain(part)
  })

  test('is not changed by a second run', () => {
    const once = migrated(each).text
    for (const on of [each.on, undefined]) {
      const options = {
        on,
        eventType: 'act',
        action: 'org/port-webhook-action@v1',
        credentials: false,
        keepLogs: false,
      }
      expect(migrateWorkflow(once, options).text).toBe(once)
    }
  })

  test('comes with findings at their lines', () => {
    const found = migrated(each).findings.map(({ line, level, message }) => `${line}: ${level}: ${message}`)
    for (const part of each.findings ?? []) expect(found.join('\n')).toContain(part)
  })
})

const played = CASES.filter(({ onlyParsed }) => !onlyParsed)
test.each(played)('$name $on with $inputs $broken has the same outcome before and after', async each => {
  const [before, after] = [await playBefore(each), await playAfter(each)]
  expect({ end: before.end, calls: before.calls }).toEqual({ end: each.end, calls: [...each.calls].sort() })
  const { log: _, ...same } = before
  const { log, ...now } = after
  expect(now).toEqual(same)
  for (const message of each.log ?? []) {
    expect(before.log).toContain(message)
    expect(log).toContain(message)
  }
  expect(after.links).toEqual(each.links ?? [])
})
