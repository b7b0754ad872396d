import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../relay/admin/metrics.ts'
import { PROBLEMS } from '../../relay/admin/problems.ts'
import { codes } from '../docs/pages.ts'
import { temporaryFolder } from '../support/relay.ts'
import { openStoreHere } from '../support/store-here.ts'
import { declaredIn } from './read-series.ts'

const root = join(import.meta.dirname, '../..')
const ALERTS = join(root, 'deploy/prometheus-alerts.yml')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

interface Rule {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; runbook_url: string }
}

const { groups } = parse(readFileSync(ALERTS, 'utf8')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap(group => group.rules)
const { panels } = JSON.parse(read('deploy/grafana-dashboard.json')) as {
  panels: { id: number; title: string; targets: { expr: string }[] }[]
}

/** Returns the series that a query reads, and the labels that it selects or groups by. @throws if it isn't PromQL */
function readQuery(expr: string): { series: string[]; labels: string[] } {
  const text = expr.replaceAll('$__rate_interval', '5m')
  const [series, labels]: string[][] = [[], []]
  parser.parse(text).iterate({
    enter({ type, from, to }) {
      if (type.isError) throw new Error(`No PromQL at ${from}: ${expr}`)
      if (type.name === 'Identifier') series!.push(text.slice(from, to))
      if (type.name === 'LabelName') labels!.push(text.slice(from, to))
    },
  })
  return { series: series!, labels: labels! }
}

/** Returns the labels of every series, by the names that queries use. */
async function known(): Promise<Map<string, string[]>> {
  const store = await openStoreHere(join(temporaryFolder(), 'relay.db'))
  onTestFinished(store.close)
  const text = await createMetrics().render({
    ...{ store, clock: Date.now, throttled: { error() {} }, checkDatabase: async () => ({ ok: true }) },
    github: { facts: { rateLimitRemaining: () => 1, tokenExpiresAt: () => 1 }, clockOffset: () => 1 },
    pauses: { scope: 'token', allPaused: () => [] },
    port: { pausedUntil: () => 1 },
    sides: { isAccepted: () => true, isUsed: () => true, lastSuccess: () => 1 },
    address: { status: () => null },
  } as unknown as Parameters<ReturnType<typeof createMetrics>['render']>[0])
  const names = [...declaredIn(text)].flatMap(([name, type]) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map(end => name + end) : [name],
  )
  const labelsOf = (name: string) => {
    const line = text.split('\n').find(each => each.startsWith(`port_relay_${name}{`)) ?? ''
    return [...line.matchAll(/(\w+)="/g)].map(([, label]) => label as string)
  }
  // Prometheus adds `up`. `job` is the job's name in scrape_configs.
  return new Map([['up', ['job']], ...names.map(name => [`port_relay_${name}`, labelsOf(name)] as const)])
}

test('the alert rules and the dashboard read only existing series and labels', async () => {
  const series = await known()
  const queries = [
    ...rules.map(({ alert, expr }) => [alert, expr] as const),
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ]
  expect(queries.length).toBeGreaterThan(35)
  const seen = new Set<string>()
  for (const [where, expr] of queries) {
    const query = readQuery(expr)
    expect(query.series.length, where).toBeGreaterThan(0)
    const labels = query.series.flatMap(name => series.get(name) ?? [`no series ${name}`])
    expect(labels, where).toEqual(expect.arrayContaining(query.labels))
    expect(labels.join(), where).not.toContain('no series')
    for (const name of query.series) seen.add(name.replace(/_bucket$/, ''))
  }
  // The dashboard shows every series.
  const all = [...series.keys()].map(name => name.replace(/_(bucket|sum|count)$/, ''))
  expect([...seen].sort()).toEqual([...new Set(all)].sort())
})

test('each alert has a severity and an existing runbook', () => {
  const docs = read('docs/runbook.md')
  for (const { alert, labels, annotations } of rules) {
    expect(['critical', 'warning'], alert).toContain(labels.severity)
    expect(annotations.summary.length, alert).toBeGreaterThan(10)
    expect(annotations.runbook_url).toMatch(new RegExp(`/docs/runbook\\.md#${alert.toLowerCase()}$`))
    expect(docs, alert).toContain(`\n### ${alert}\n`)
  }
  const written = [...docs.matchAll(/^### (PortRelay\w+)$/gm)].map(([, name]) => name)
  expect(written).toEqual(rules.map(({ alert }) => alert))
})

test('one table lists every rule, every alert of the relay, and every banner', () => {
  const [, section = ''] = read('docs/runbook.md').split('\n## All alerts\n')
  const table = section
    .split('\n## ')[0]!
    .split('\n')
    .filter(line => line.startsWith('| ') && !line.startsWith('| ---'))
    .slice(1)
    .map(line => line.split('|').map(cell => cell.trim()))
  const withRule = table.filter(([, , rule]) => rule !== '–')
  expect(withRule.map(([, , rule, , severity]) => [rule, severity])).toEqual(
    rules.map(({ alert, labels }) => [`[${alert}](#${alert.toLowerCase()})`, labels.severity]),
  )
  const kinds = Object.entries(PROBLEMS)
  /** The section to which a row links. */
  const sectionOf = (row: string[]) => /\(#(\w+)\)/.exec(row.join())![1]
  const alerts = table.flatMap(row => (row[3] === '–' ? [] : `${codes(row[3]!)} ${sectionOf(row)}`))
  const nameOf = (section: string) => section.toLowerCase()
  expect(alerts.sort()).toEqual(
    kinds
      .flatMap(([type, { after, section }]) =>
        after.alert === undefined ? [] : `${type} ${nameOf(section)}`,
      )
      .sort(),
  )
  // No rule is about outdated relays, because each rolling update has outdated relays. The banner links to the section about /readyz.
  expect(read('docs/runbook.md')).toContain(`\n## ${PROBLEMS.outdated.section}\n`)
  const banners = table.flatMap(row => (row[5] === '–' ? [] : `${row[5]} ${sectionOf(row)}`))
  expect(new Set(banners)).toEqual(
    new Set(
      kinds.flatMap(([type, { after, severity, section }]) =>
        after.banner === undefined || type === 'outdated' ? [] : `${severity} ${nameOf(section)}`,
      ),
    ),
  )
})

/** When each alert fires, for promtool. */
const CASES = join(import.meta.dirname, 'prometheus-alerts.test.yml')

test('promtool confirms in which cases each alert fires', context => {
  const { error, status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', CASES], {
    encoding: 'utf8',
  })
  // .ci/run installs promtool.
  if (error && process.env.PROMTOOL !== 'required')
    context.skip('promtool, which is part of Prometheus, is not installed')
  expect([error, status, `${stdout}${stderr}`]).toEqual([undefined, 0, expect.stringContaining('SUCCESS')])
})

test('each alert has a case in which it fires, and one in which it does not', () => {
  interface Check {
    alertname: string
    exp_alerts?: object[]
  }
  const { tests } = parse(readFileSync(CASES, 'utf8')) as { tests: { alert_rule_test: Check[] }[] }
  const checks = tests.flatMap(each => each.alert_rule_test)
  const having = (isFiring: boolean) =>
    checks.flatMap(({ alertname, exp_alerts = [] }) => (exp_alerts.length > 0 === isFiring ? alertname : []))
  const names = rules.map(({ alert }) => alert).sort()
  expect([...new Set(having(true))].sort()).toEqual(names)
  expect([...new Set(having(false))].sort()).toEqual(names)
})
