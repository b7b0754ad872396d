import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { until } from '../../simulator/http-server.ts'
import { send } from '../support/requests.ts'
import type { RelayProcess } from './relay-process.ts'
import { AUDIENCE, REPOSITORY, type SystemOptions, withSystem } from './system.ts'
import { judge, judgeStrikes, type Strikes, type Verdict } from './verdict.ts'

/** Kills the relay (SIGKILL) at random moments while deliveries arrive and are dispatched. */
export async function kill(fault: string, options: SystemOptions & Strikes): Promise<Verdict> {
  return withSystem({ repositories: 100, ...options }, system =>
    judgeStrikes(fault, system, options, async () => {
      await system.relay.kill()
      await system.relay.start()
    }),
  )
}

/**
 * Runs two relays on one database. Kills one at the start and after every `perKill` dispatches. Finally kills both, and
 * makes their leases expire immediately, because waiting would take a minute.
 */
export async function killOneOf(
  fault: string,
  options: SystemOptions & { database: string; count: number; perKill: number; perSecond?: number },
): Promise<Verdict> {
  return withSystem({ relays: 2, repositories: 100, ...options }, async system => {
    await Promise.all(system.relays.map(each => each.start()))
    const load = system.load(options)
    let times = 0
    while (times < options.count / options.perKill) {
      const dispatched = () => system.github.dispatches.length >= times * options.perKill
      await until(dispatched, `${fault}: ${times * options.perKill} dispatches`, 1_800_000)
      await sleep(Math.random() * 300)
      const relay = system.relays[times++ % 2] as RelayProcess
      await relay.kill()
      await sleep(Math.random() * 300)
      await relay.start()
    }
    await load.done
    await Promise.all(system.relays.map(each => each.kill()))
    await setLeasesExpired(options.database)
    await Promise.all(system.relays.map(each => each.start()))
    return judge(fault, times + 2, system)
  })
}

async function setLeasesExpired(database: string): Promise<void> {
  const client = new pg.Client(database)
  await client.connect()
  await client.query('UPDATE deliveries SET lease_until = 0; UPDATE outboxes SET lease_until = 0')
  await client.end()
}

/**
 * Kills the relay (SIGKILL) after each job's report, before or after the workflow run has finished. If the status in
 * Port differs from GitHub's conclusion, the run counts as lost.
 */
export async function killAfterReport(
  fault: string,
  { times, database }: { times: number; database?: string },
): Promise<Verdict> {
  const options = { connected: true, runs: 'none', ...(database && { database }) } as const
  return withSystem(options, async system => {
    const { relay, port, github, issuer, repositoryId, accepted } = system
    await relay.start()
    const post = (path: string, token: string, body: object) =>
      fetch(`${relay.url}/report${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      })
    const ends: { portRun: string; conclusion: string }[] = []
    for (let n = 0; n < times; n++) {
      const conclusion = n % 2 === 0 ? 'success' : 'failure'
      const { id } = port.createRun({ action: 'deploy' })
      const body = { run: { id }, action: { identifier: 'deploy' }, inputs: {} }
      const { delivery } = (await send(relay.url, { body })).body
      await until(() => accepted().includes(id), 'GitHub gets the dispatch')
      const run = github.createRun({ repository: REPOSITORY, displayTitle: id, status: 'in_progress' })
      const oidc = issuer.token({ repository: REPOSITORY, repositoryId, runId: run.id }, AUDIENCE)
      const { token } = (await (await post('/start', oidc, { delivery })).json()) as { token: string }
      // The job succeeds, and GitHub's list of jobs shows that another job fails.
      const job = { id: n + 1, name: 'deploy', author: 'success', ownSummary: false }
      const reports = [{ update: { conclusion: 'success', summary: `Job ${n}`, job } }]
      const response = await post('', token, { delivery, sender: 'a', number: 1, reports, finishing: true })
      if (response.status !== 202)
        throw new Error(`The report got ${response.status}: ${await response.text()}`)
      const end = () => github.setRun(run.id, { status: 'completed', conclusion })
      if (n % 3 === 0) end()
      await sleep(Math.random() * 3_000)
      await relay.kill()
      end()
      await relay.start()
      ends.push({ portRun: id, conclusion })
    }
    const STATUS = { success: 'SUCCESS', failure: 'FAILURE' } as Record<string, string>
    const open = () => ends.filter(({ portRun }) => port.run(portRun).status === 'IN_PROGRESS')
    await until(() => open().length === 0, `${fault}: every run has finished in Port`, 180_000).catch(
      () => {},
    )
    const wrong = ends.filter(({ portRun, conclusion }) => {
      const { status, summary } = port.run(portRun)
      return status !== STATUS[conclusion] || !/Job \d+$/.test(summary ?? '')
    })
    return { ...(await judge(fault, times, system)), acknowledged: times, lost: wrong.length, failed: 0 }
  })
}

/** Makes Port unreachable while deliveries arrive. Dispatches continue, and Port gets all messages later. */
export async function portDown(
  fault: string,
  options: { count: number; forMs: number; perSecond?: number },
): Promise<Verdict> {
  return withSystem({ connected: true }, async system => {
    const { port } = system
    await system.relay.start()
    const ids: string[] = []
    const load = system.load({
      ...options,
      onRun: id => {
        ids.push(id)
        port.createRun({ id })
        if (ids.length === Math.floor(options.count / 4)) void port.stop()
      },
    })
    await Promise.all([load.done, sleep(options.forMs)])
    await until(() => system.github.dispatches.length >= options.count, "dispatches don't wait for Port")
    await port.start()
    const verdict = await judge(fault, 1, system)
    const unreported = () => ids.filter(id => port.run(id).logs.length === 0)
    await until(() => unreported().length === 0, 'Port shows every delivery', 600_000)
    return verdict
  })
}
