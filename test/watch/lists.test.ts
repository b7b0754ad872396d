import { expect, test } from 'vitest'
import type { ReceivedRequest } from '../../simulator/http-server.ts'
import { type System, startSystem } from '../support/system.ts'

const MINUTE = 60_000
const isList = ({ path }: ReceivedRequest) => /\/actions\/runs\?/.test(path)

test.each([1, 2])(
  'the polls of %i relays together leave 60 of the 300 list requests a minute to more urgent lists',
  async relays => {
    const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 1_440 * MINUTE })
    const { github, hub, store } = system
    hub.facts.perMinute = () => 10_000
    store.relays = async () => relays
    const polls: ReturnType<System['engine']>['poll'][] = []
    for (let i = 0; i < relays; i++) {
      system.restart()
      await system.engine().countRelays()
      polls.push(system.engine().poll)
    }
    let polled = 0
    system.engine().poll = delivery => polls[polled++ % relays]!(delivery)
    for (let i = 0; i < 120; i++) {
      const [repository, runId] = [`acme/shop-${i}`, `r_A1b2C3d4E5f6${String(i).padStart(4, '0')}`]
      github.addRepository(repository)
      const id = await system.dispatch(runId, repository)
      await system.bind(id, system.run('deploy', { repository, status: 'in_progress' }).id)
    }
    await system.pass(3 * MINUTE)
    github.clearRequests()
    await system.pass(MINUTE)
    const lists = github.requests.filter(isList).length
    expect(lists).toBeLessThanOrEqual(240)
    expect(lists, 'the relays want more').toBeGreaterThan(220)
  },
)
