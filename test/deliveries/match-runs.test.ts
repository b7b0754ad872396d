import { describe, expect, test } from 'vitest'
import type { Delivery, DeliveryRun, Evidence } from '../../relay/delivery/delivery.ts'
import { type BindingFacts, bindRuns, isNamed, isOfAnother, mergeRuns } from '../../relay/delivery/match.ts'
import type { WorkflowRun } from '../../relay/github/runs.ts'

const DISPATCHED = Date.parse('2026-11-01T10:00:00Z')
const MINUTE = 60_000
const UUID = '019d4f0e-3a5c-7b7e-9a35-3a1f2b6c7d8e'
const DELIVERY = {
  ...{ id: UUID, runId: 'r_A1b2C3d4E5f6G7h8', receivedAt: 1, queuedAt: 1, attemptedAt: DISPATCHED, runs: [] },
  ...{ eventType: 'deploy', workflow: null, ref: null },
}
const ANOTHER = 'r_Z1b2C3d4E5f6G7h8'

let nextId = 1
const run = (title: string, more: Partial<WorkflowRun> = {}): WorkflowRun => ({
  ...{ id: nextId++, attempt: 1, workflowId: 1, workflow: 'deploy.yml', ref: 'main', title, url: '' },
  ...{ event: 'repository_dispatch', status: 'in_progress', conclusion: null },
  ...{ createdAt: DISPATCHED + 1_000, updatedAt: DISPATCHED + 1_000 },
  ...more,
})
const FACTS: Omit<BindingFacts, 'runs'> = {
  ...{ bound: [], taken: new Set(), owners: new Map(), externalRunId: null, clockOffset: 0, whole: true },
  others: [],
  ...{ dispatchedAt: DISPATCHED, readAt: DISPATCHED + MINUTE, startTimeout: 10 * MINUTE },
}
const poll = (runs: WorkflowRun[], facts: Partial<BindingFacts> = {}, delivery: Partial<Delivery> = {}) => {
  const owners = new Map(runs.filter(run => isNamed(run.title, DELIVERY)).map(run => [run.id, DELIVERY]))
  const found = bindRuns({ ...DELIVERY, ...delivery }, { ...FACTS, runs, owners, ...facts })
  const ids = [...found.runs, ...found.candidates].map(({ id }) => id)
  const titles = runs.filter(run => ids.includes(run.id)).map(({ title }) => title)
  return { evidence: found.runs[0]?.evidence ?? null, titles }
}
const other = (eventType: string | null = 'deploy') => [{ eventType }]

test('because clocks differ, a run can belong to another delivery until a minute after the start timeout of that delivery', () => {
  const clocks = { clockOffset: 0, startTimeout: 10 * MINUTE }
  const createdAt = (ms: number) =>
    isOfAnother({ createdAt: DISPATCHED + ms }, [{ attemptedAt: DISPATCHED }], clocks)
  expect([-11 * MINUTE, 11 * MINUTE].map(createdAt)).toEqual([true, true])
  expect([-11 * MINUTE - 1, 11 * MINUTE + 1].map(createdAt)).toEqual([false, false])
})

describe('a title', () => {
  test.each([
    'deploy r_A1b2C3d4E5f6G7h8',
    'r_A1b2C3d4E5f6G7h8',
    'deploy (r_A1b2C3d4E5f6G7h8)',
    '#r_A1b2C3d4E5f6G7h8: deploy by a person',
    'r_A1b2C3d4E5f6G7h8X or rather r_A1b2C3d4E5f6G7h8',
    `deploy ${UUID}`,
    `${UUID}/deploy`,
  ])('"%s" identifies the delivery, even if other deliveries were dispatched', title => {
    const found = { evidence: 'title', titles: [title] }
    expect(poll([run(title)])).toEqual(found)
    expect(poll([run('deploy'), run(title)], { others: other(), whole: false })).toEqual(found)
  })

  test.each(['deploy r_A1b2C3d4E5f6G7h8X', `deploy ${ANOTHER}`, 'deploy wfnr_A1b2C3d4E5f6G7h8'])(
    '"%s" identifies another run in Port, so the run isn\'t a candidate',
    title => {
      expect(poll([run(title)])).toEqual({ evidence: null, titles: [] })
      expect(poll([run(title), run('deploy')])).toEqual({ evidence: 'candidate', titles: ['deploy'] })
    },
  )

  test("with another delivery's ID may come from another relay, so the run is a candidate but isn't bound", () => {
    const title = `deploy ${UUID.replace('019', '01a')}`
    expect(poll([run(title)])).toEqual({ evidence: null, titles: [title] })
    expect(poll([run(title), run('deploy')]).evidence).toBeNull()
  })

  test('with the IDs of this delivery and a newer one identifies the newer one', () => {
    const quoting = run(`deploy ${ANOTHER} after ${DELIVERY.runId}`)
    const owners = new Map([[quoting.id, { id: 'another', attemptedAt: null }]])
    expect(poll([quoting], { owners })).toEqual({ evidence: null, titles: [] })
  })

  test('whose delivery is unknown binds no run: GitHub may have cut the title', () => {
    const titles = [`deploy ${DELIVERY.runId}`]
    expect(poll([run(titles[0]!)], { owners: new Map() })).toEqual({ evidence: null, titles })
  })

  test("with another delivery's ID makes the run a candidate if the other delivery can't have started the run", () => {
    const quote = (title: string, attemptedAt: number) => {
      const quoting = run(title)
      return poll([quoting], { owners: new Map([[quoting.id, { id: 'another', attemptedAt }]]) })
    }
    const [recently, before] = [DISPATCHED, DISPATCHED - 20 * MINUTE]
    expect(quote('deploy r_other', recently)).toEqual({ evidence: null, titles: [] })
    expect(quote('deploy r_other', before).evidence).toBe('candidate')
    const title = `deploy ${ANOTHER}`
    expect(quote(title, before)).toEqual({ evidence: null, titles: [title] })
  })

  test.each([
    'deploy Xr_A1b2C3d4E5f6G7h8',
    'deploy r_A1b2C3d4E5f6G7h8_2',
    'run_deployment_of_prod',
    'Deploying, please wait',
    'r_short',
    'deploy 0b9d4f0e-3a5c-4b7e-9a35-3a1f2b6c7d8e',
    'Build run_20261130T120000Z',
    'deploy',
  ])('"%s" identifies no delivery, so the run may belong to any delivery', title => {
    expect(poll([run(title)])).toEqual({ evidence: 'candidate', titles: [title] })
    expect(poll([run(title)], { others: other() })).toEqual({ evidence: null, titles: [title] })
  })

  test('is ignored if the run was created more than a minute before the redelivery', () => {
    const title = `deploy ${DELIVERY.runId}`
    const late = run(title, { createdAt: DISPATCHED - MINUTE })
    const old = run(title, { createdAt: DISPATCHED - MINUTE - 1 })
    const redelivered = { queuedAt: DISPATCHED }
    expect(poll([late], {}, redelivered).evidence).toBe('title')
    expect(poll([old], {}, redelivered)).toEqual({ evidence: null, titles: [] })
    expect(poll([old]).evidence).toBe('title')
  })

  test('can bind the runs of two workflows to the delivery', () => {
    const titles = [`deploy ${DELIVERY.runId}`, `lint ${DELIVERY.runId}`]
    expect(poll([...titles.map(title => run(title)), run('deploy')])).toEqual({ evidence: 'title', titles })
  })
})

describe('the run that Port names', () => {
  test('takes precedence over any title', () => {
    const [named, external] = [run(`lint ${DELIVERY.runId}`), run('deploy')]
    const facts = { externalRunId: external.id, others: other() }
    expect(poll([named, external], facts)).toEqual({ evidence: 'port', titles: ['deploy'] })
  })

  test("is ignored if GitHub doesn't list the run", () => {
    const found = { evidence: 'title', titles: [`deploy ${DELIVERY.runId}`] }
    expect(poll([run(`deploy ${DELIVERY.runId}`)], { externalRunId: 4_242_424 })).toEqual(found)
  })
})

test('never binds a run that belongs to another delivery or to an earlier attempt of this delivery', () => {
  for (const title of ['deploy', `deploy ${DELIVERY.runId}`]) {
    const one = run(title)
    const facts = { taken: new Set([one.id]), externalRunId: one.id }
    expect(poll([one], facts)).toEqual({ evidence: null, titles: [] })
  }
})

describe('binds the only candidate', () => {
  test.each<[string, string | null, Partial<WorkflowRun>, Partial<BindingFacts>]>([
    ['if nothing else was dispatched', 'candidate', {}, {}],
    ['if the title is its event type, and no other has it', 'candidate', {}, { others: other('restart') }],
    ['but not if another delivery of this event type was dispatched', null, {}, { others: other() }],
    ['but not within 11 s, since a second run may still appear', null, {}, { readAt: DISPATCHED + 10_999 }],
    ['but not from an incomplete list', null, {}, { whole: false }],
    ['even if GitHub rounds its creation to 2 s earlier', 'candidate', { createdAt: DISPATCHED - 2_000 }, {}],
    [
      'even if the run was created at the end of the start timeout',
      'candidate',
      { createdAt: DISPATCHED + 10 * MINUTE },
      { readAt: DISPATCHED + 11 * MINUTE },
    ],
  ])('%s', (_, evidence, more, facts) => {
    expect(poll([run('deploy', more)], facts)).toEqual({ evidence, titles: ['deploy'] })
  })

  test.each([
    ['before the dispatch', DISPATCHED - 3_000],
    ['after the start timeout', DISPATCHED + 10 * MINUTE + 3_000],
  ])('but not if the run was created %s', (_, createdAt) => {
    const facts = { readAt: DISPATCHED + 20 * MINUTE }
    expect(poll([run('deploy', { createdAt })], facts)).toEqual({ evidence: null, titles: [] })
  })

  test("but not if the run's workflow, branch, or event differs from the workflow_dispatch", () => {
    const started = { eventType: null, workflow: 'deploy.yml', ref: 'release' }
    const matched = (more: Partial<WorkflowRun>) =>
      poll([run('Deploy', { event: 'workflow_dispatch', ...more })], {}, started).evidence
    expect(matched({ ref: 'release' })).toBe('candidate')
    expect(matched({ ref: null, workflow: null })).toBe('candidate')
    expect(matched({ ref: 'main' })).toBeNull()
    expect(matched({ ref: 'release', workflow: 'lint.yml' })).toBeNull()
    expect(matched({ ref: 'release', event: 'repository_dispatch' })).toBeNull()
  })

  test('but not if there are two candidates', () => {
    expect(poll([run('deploy'), run('deploy')])).toEqual({ evidence: null, titles: ['deploy', 'deploy'] })
    expect(poll([run('deploy'), run('Roll out')]).evidence).toBeNull()
  })

  test('but not if another delivery could have started the run; after a workflow_dispatch, the title of its run can be anything', () => {
    const facts = { others: other('restart') }
    expect(poll([run('Roll out')], facts)).toEqual({ evidence: null, titles: ['Roll out'] })
    expect(poll([run('restart')], facts)).toEqual({ evidence: null, titles: [] })
    const both = [run('restart'), run('deploy')]
    expect(poll(both, facts)).toEqual({ evidence: 'candidate', titles: ['deploy'] })
    const started = { eventType: null, workflow: 'deploy.yml' }
    const named = run('restart', { event: 'workflow_dispatch' })
    expect(poll([named], facts, started)).toEqual({ evidence: null, titles: ['restart'] })
  })
})

test.each<[known: Evidence[], seen: Evidence[], merged: string]>([
  [['title'], ['port'], '0 port'],
  [['report'], ['port'], '0 report'],
  [['response'], ['port'], '0 response'],
  [['title'], ['title', 'title'], '0 title, 1 title'],
  [['title'], ['title', 'candidate'], '0 title'],
  [['report'], ['report', 'title'], '0 report'],
  [[], ['candidate'], '0 candidate'],
])('after the evidence %j, a poll with the evidence %j leads to: %s', (known, seen, merged) => {
  const bound = (evidence: Evidence, id: number): DeliveryRun => ({
    ...{ id, attempt: 1, evidence, past: false, status: 'in_progress', conclusion: null, url: '' },
  })
  const runs = mergeRuns(known.map(bound), seen.map(bound))
  expect(runs.map(({ id, evidence }) => `${id} ${evidence}`).join(', ')).toBe(merged)
})
