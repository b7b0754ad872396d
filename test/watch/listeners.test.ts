import { expect, test } from 'vitest'
import { RUN, type System, startSystem } from '../support/system.ts'

const OTHER = 'on: { repository_dispatch: { types: [other] } }\n'
const MINUTE = 60_000
const WARNING =
  /^No workflow in acme\/shop listens to repository_dispatch type deploy .* The relay waits for a run until RELAY_START_TIMEOUT \(10 min\) has passed\.$/

/** Starts a system whose repository has these workflow files. */
async function start(...files: string[]): Promise<System> {
  const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 60 * MINUTE })
  system.workflows([])
  system.github.addRepository('acme/shop', {
    permissions: { contents: 'write', metadata: 'read', actions: 'read' },
    workflows: files.map((content, n) => ({
      ...{ path: `.github/workflows/${n}.yml`, name: `workflow ${n}`, eventTypes: [], content },
    })),
  })
  return system
}
const isContent = ({ path }: { path: string }) => path.includes('/contents/')
const reads = (system: System) => system.github.requests.filter(isContent).length
const warnings = (system: System, id = RUN) =>
  system.port.run(id).logs.filter(({ message }) => message.startsWith('No workflow in acme/shop listens'))

test('Port shows within a minute that no workflow listens, and the delivery fails after the start timeout', async () => {
  const system = await start('on: push\n', ...Array.from({ length: 10 }, (_, n) => `${OTHER}# ${n}\n`))
  const id = await system.dispatch(RUN)
  await system.pass(29_000)
  expect([reads(system), warnings(system)]).toEqual([0, []])
  await system.pass(5_000)
  expect(warnings(system)).toMatchObject([{ message: expect.stringMatching(WARNING) }])
  const { state, reason } = await system.delivery(id)
  expect([state, reason]).toEqual(['dispatched', expect.stringMatching(/^No workflow in acme\/shop listens/)])
  expect(await system.history(id)).toEqual(['dispatchAccepted', 'listenerMissing'])
  expect(reads(system)).toBe(12)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  await system.pass(10 * MINUTE)
  expect((await system.delivery(id)).state).toBe('failed')
  expect(system.port.run(RUN).status).toBe('FAILURE')
  expect([reads(system), warnings(system).length]).toEqual([12, 2])
})

test('workflow files are listed at most every five minutes and read again only if they changed', async () => {
  const system = await start(OTHER, 'on: push\n')
  const ids = Array.from({ length: 4 }, (_, n) => `r_A1b2C3d4E5f6G7${n}`)
  for (const id of ids.slice(0, 3)) await system.dispatch(id)
  await system.pass(MINUTE)
  expect(reads(system)).toBe(3)
  await system.pass(5 * MINUTE)
  await system.dispatch(ids[3] as string)
  await system.pass(MINUTE)
  expect(reads(system)).toBe(4)
  for (const id of ids) expect(warnings(system, id)).toHaveLength(1)
})

test.each([
  ['the event type in a list', 'on: { repository_dispatch: { types: [other, deploy] } }'],
  ['only the event type', '"on":\n  repository_dispatch:\n    types: deploy'],
  ['all types', 'on:\n  repository_dispatch:\n  push:'],
  ['all types, as an event in a list', 'on: [push, repository_dispatch]'],
  ['all types, as the only event', 'on: repository_dispatch'],
  [
    'the event type, in a file with other keys',
    'name: x\non:\n# today\n  repository_dispatch: { types: [deploy] }\njobs: [}',
  ],
  ['events that the relay cannot parse', 'on: [repository_dispatch'],
  ['events that take minutes to parse', `on:\n${'  ? '.repeat(900)}`],
  ['events that are too long to read', `on:\n  push:\n${'# \n'.repeat(3_000)}`],
  ['events in a file that is too large to read', `on: push\n${'#'.repeat(250_000)}`],
])('no warning is shown if a workflow listens to %s', async (_, content) => {
  const system = await start(OTHER, content)
  await system.dispatch(RUN)
  await system.pass(5 * MINUTE)
  expect(warnings(system)).toEqual([])
  expect(reads(system)).toBeGreaterThan(0)
})

test.each([
  ['the relay lacks permission to read the files', 3, { status: 403 }],
  ['GitHub responds with 500', 3, { status: 500 }],
  ['there are more than 20 files', 21, null],
])('no warning is shown, and no file is read again for five minutes, if %s', async (_, amount, fault) => {
  const system = await start(...Array.from({ length: amount }, (_, n) => `${OTHER}# ${n}\n`))
  if (fault) system.github.fail({ match: isContent, times: Number.POSITIVE_INFINITY, ...fault })
  await system.dispatch(RUN)
  await system.pass(5 * MINUTE)
  expect([warnings(system), system.port.run(RUN).status]).toEqual([[], 'IN_PROGRESS'])
  expect(reads(system)).toBeLessThanOrEqual(1)
})
