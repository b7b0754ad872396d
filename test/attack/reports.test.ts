import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../../relay/config/limits.ts'
import { temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import {
  ATTACKS,
  besiegeReports,
  HELD_MAY_STAY_MB,
  type ReportSiege,
  type ReportSiegeOptions,
} from './reports.ts'

const small = { ...ATTACKS['small lines'], count: 20 }
const large = { ...ATTACKS['large reports'], count: 150 }

test('small log lines without end: honest webhooks are dispatched once, and no line of an accepted report is lost, over a restart', async () => {
  await simulate({ database: await newDatabase(), seconds: 3, attack: small })
}, 120_000)

test('the largest reports while Port is away: honest webhooks are dispatched once, and no line of an accepted report is lost, over a restart', async () => {
  const database = `sqlite:${join(temporaryFolder(), 'relay.db')}`
  const { responses: answers, lines } = await simulate({ database, seconds: 3, attack: large })
  // The attack was one: it went beyond what one delivery may report, and got no further.
  expect(answers).toMatchObject({ 202: expect.any(Number), 413: expect.any(Number) })
  expect(lines.accepted * large.width).toBeLessThan(LIMITS.reportBytes.value)
}, 120_000)

async function simulate(options: ReportSiegeOptions): Promise<ReportSiege> {
  // With a small heap, in which everything that is reported would not fit.
  const siege = await besiegeReports({ ...options, flags: ['--max-old-space-size=96'] })
  const { webhooks, health, notDispatchedOnce, lines, memoryMb } = siege
  for (const served of [webhooks, health]) {
    expect(served.sent).toBeGreaterThan(10)
    expect(served, JSON.stringify(siege)).toMatchObject({ served: served.sent, others: {} })
  }
  expect(notDispatchedOnce).toEqual([])
  expect(lines.missing, JSON.stringify(siege)).toBe(0)
  expect(memoryMb.after.held - memoryMb.before.held).toBeLessThan(HELD_MAY_STAY_MB)
  return siege
}
