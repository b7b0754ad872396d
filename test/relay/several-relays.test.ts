import { expect, test } from 'vitest'
import { startSystem } from '../support/system.ts'

test('if GitHub responds with 500 to one payload, Port shows why the queue waits, until a cancellation unblocks it', async () => {
  const system = await startSystem({ actions: 'write', startTimeout: 600_000, runTimeout: 86_400_000 })
  const { github, port } = system
  const isPoisoned = ({ body }: { body?: unknown }) => JSON.stringify(body ?? '').includes('"r_0"')
  github.fail({ match: isPoisoned, status: 500, times: Number.POSITIVE_INFINITY })
  const ids: string[] = []
  for (let n = 0; n < 6; n++) ids.push(await system.accept(`r_${n}`))
  /** The label and the log lines that Port shows for each delivery. */
  const shown = () =>
    ids.map((_, n) => {
      const { statusLabel, logs } = port.run(`r_${n}`)
      return [statusLabel, ...logs.map(({ message }) => message.replace(/ \(delivery \w+\)/, ''))]
    })
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      await system.pass(1_000)
      await system.notifyWaiting()
      await system.send()
    }
  }
  await pass(29)
  expect(shown()).toEqual(ids.map(() => [undefined]))
  await pass(100)
  const error = 'GitHub responded with 500 to the dispatch to acme/shop; searching for the workflow run'
  expect(shown()).toEqual([
    ['Waiting for GitHub', `Waiting for GitHub: ${error}.`],
    ...ids
      .slice(1)
      .map(() => [
        'Waiting for an earlier run of acme/shop',
        'Waiting for an earlier run of acme/shop: r_0.',
      ]),
  ])
  const { apply } = system.engine()
  await apply(await system.delivery(ids[0]!), { type: 'cancelRequested', by: 'port' })
  await pass(1)
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual([1, 2, 3, 4, 5].map(n => `r_${n}`))
  expect(shown()[0]!.at(-1)).toContain('The relay searches for the run to cancel it')
})
