import { expect, test } from 'vitest'
import { shareRuns } from '../../relay/deliveries/share-runs.ts'
import type { WorkflowRun } from '../../relay/github/workflow-run.ts'

const SECOND = 1_000
const run = (id: number, at: number, workflowId = 1) =>
  ({ id, workflowId, createdAt: at * SECOND }) as WorkflowRun
const sent = (at: number, seq = at) => ({ id: `d-${seq}`, seq, sentAt: at * SECOND })

/** What each of the deliveries gets, by the ids of runs. */
const share = (
  deliveries: ReturnType<typeof sent>[],
  runs: WorkflowRun[],
  since = Number.NEGATIVE_INFINITY,
) =>
  deliveries.map(each => {
    const times = { since, partial: false, lag: 600 * SECOND, leeway: 5 * SECOND }
    const given = shareRuns(each, runs, deliveries, times)
    if (given === null) return null
    const { own, runs: all, missing } = given
    return { own: own.map(({ id }) => id), runs: all.map(({ id }) => id).sort(), missing }
  })
const sure = (...ids: number[]) => ({ own: ids, runs: ids, missing: false })
const none = { own: [], runs: [], missing: true }

test('the oldest run is the oldest delivery’s, also where the runs came late', () => {
  expect(share([sent(0), sent(20), sent(40)], [run(3, 41), run(1, 1), run(2, 21)])).toEqual([
    sure(1),
    sure(2),
    sure(3),
  ])
  expect(share([sent(0), sent(20)], [run(1, 60), run(2, 70)])).toEqual([sure(1), sure(2)])
})

test('a delivery that was sent later takes nothing from one that has its run', () => {
  expect(share([sent(0), sent(20)], [run(1, 1)])[0]).toEqual(sure(1))
})

test('runs made within seconds of each other may have changed places', () => {
  const both = { runs: [1, 2], missing: false }
  expect(share([sent(0, 1), sent(0, 2)], [run(1, 1), run(2, 2)])).toEqual([
    { own: [1], ...both },
    { own: [2], ...both },
  ])
})

test('of two deliveries and one run, neither is sure of it', () => {
  expect(share([sent(0), sent(20)], [run(1, 21)])).toEqual([none, none])
  expect(share([sent(0, 1), sent(0, 2)], [run(1, 1)])[1]).toEqual(none)
})

test('each workflow that listens makes a run of its own', () => {
  const runs = [run(1, 1), run(2, 1, 2), run(3, 21), run(4, 21, 2)]
  expect(share([sent(0), sent(20)], runs)).toEqual([sure(1, 2), sure(3, 4)])
})

test('a burst, in order and each soon after its dispatch, is shared out though more is still to come', () => {
  const times = Array.from({ length: 50 }, (_, i) => i * 2)
  const shares = share(
    times.map(at => sent(at)),
    times.slice(0, 40).map(at => run(at + 1, at + 1)),
  )
  for (let i = 0; i < 40; i++) expect(shares[i]).toMatchObject({ own: [times[i]! + 1], missing: false })
})

test('a stream is shared out from where it begins, and not at all where it began before what is known', () => {
  const times = Array.from({ length: 20 }, (_, i) => i * 6)
  const runs = times.map(at => run(at + 1, at + 2))
  const known = times.slice(10).map(at => sent(at))
  for (const each of share(known, runs, 55 * SECOND)) expect(each).toBeNull()
  const later = [...known, sent(200), sent(206)]
  expect(share(later, [...runs, run(201, 202), run(207, 208)], 55 * SECOND).slice(-2)).toEqual([
    sure(201),
    sure(207),
  ])
  const all = times.map(at => sent(at))
  expect(share(all, runs).map(each => each?.own)).toEqual(times.map(at => [at + 1]))
})
