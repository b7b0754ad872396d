import { expect, test } from 'vitest'
import { openStore } from '../../../relay/store/open.ts'
import { cutting } from '../../support/cutting-proxy.ts'
import {
  type Address,
  acceptAll,
  aDelivery,
  aLine,
  apply,
  applyTo,
  aRun,
  aTransition,
  get,
  type Place,
} from '../place.ts'

type Postgres = Extract<Address, { kind: 'postgres' }>

export function failureTests(place: Place): void {
  if (place.kind === 'sqlite') sqliteTests(place)
  else postgresTests(place)
}

function sqliteTests(place: Place): void {
  test('refuses a file that another relay has locked, and a location without write access', async () => {
    const address = await place.empty()
    await place.open(address)
    await expect(place.open(address)).rejects.toThrow(/^Another relay is running on /)
    await expect(place.open({ kind: 'sqlite', path: '/proc/none/relay.db' })).rejects.toThrow(
      /^The database \/proc\/none\/relay\.db can't be opened/,
    )
  })
}

function postgresTests(place: Place): void {
  test('accept() returns the deliveries that were written before the connection was cut', async () => {
    const { address, cut } = await cutting((await place.empty()) as Postgres)
    const store = await place.open(address)
    const [first] = await acceptAll(store, { runId: 'r_first' })
    const given = Array.from({ length: 20 }, () => aDelivery())
    cut(1)
    const all = [...given, aDelivery({ runId: 'r_first' })]
    const responses = await Promise.all(all.map(each => store.accept(each)))
    expect(responses.map(({ id, duplicate }) => ({ id, duplicate }))).toEqual([
      ...given.map(({ id }) => ({ id, duplicate: false })),
      { id: first, duplicate: true },
    ])
    expect(await store.list({}, { limit: 100 })).toHaveLength(21)
  })

  test('claimQueued() returns what was claimed before the connection was cut, at the latest with the next call', async () => {
    const { address, cutBefore, cut } = await cutting((await place.empty()) as Postgres)
    const store = await place.open(address)
    const [first, second] = await acceptAll(store, { repository: 'acme/a' }, { repository: 'acme/b' })
    const claim = async () => (await store.claimQueued(2000, 500, 1, 'owner:')).map(each => each.id)
    cut(1, 'COMMIT')
    expect(await claim()).toEqual([first])
    // The connection that reads the claim is cut, too.
    cut(2, 'COMMIT')
    await expect(claim()).rejects.toThrow(/^PostgreSQL: /)
    const [found] = await store.claimQueued(2001, 500, 1, 'owner:')
    expect(found).toMatchObject({ id: second, attempts: 1, attemptedAt: 2000, isAttempt: true })
    const [third] = await acceptAll(store, { repository: 'acme/c' })
    cutBefore('owner:')
    await expect(claim()).rejects.toThrow(/^PostgreSQL: /)
    expect(await claim()).toEqual([third])
  })

  test('a call rejects if the server no longer responds; later calls use a new connection', async () => {
    const { address, silence } = await cutting((await place.empty()) as Postgres)
    const store = await place.open(address)
    silence(true)
    await expect(store.ping()).rejects.toThrow(/^PostgreSQL: Connection terminated/)
    silence(false)
    await store.ping()
  })

  test('after a lost response, apply() returns true if the transition was written, and rejects if it was not', async () => {
    const { address, cut, cutBefore } = await cutting((await place.empty()) as Postgres)
    const store = await place.open(address)
    const [id] = await acceptAll(store, {})
    const change = { state: 'running' as const, runs: [aRun(7)] }
    cut(1, 'COMMIT')
    expect(await applyTo(store, id!, { change, messages: [aLine('one')] }, 2000)).toBe(true)
    expect(await get(store, id!)).toMatchObject({ state: 'running', version: 1, runs: [{ id: 7 }] })
    expect(await store.claimOutboxes(2000, 10, 10)).toMatchObject([{ messages: [{ message: aLine('one') }] }])
    const delivery = await get(store, id!)
    cutBefore('never written')
    const never = aTransition({ change: { reason: 'never written' } })
    await expect(apply(store, delivery, never, 3000)).rejects.toThrow(/^PostgreSQL: /)
    expect(await get(store, id!)).toEqual(delivery)
  })

  test('the error for an unreachable or unusable server names the server without the password', async () => {
    const { url } = (await place.empty()) as { url: string }
    const refused = async (change: Partial<URL>) => {
      const changed = Object.assign(new URL(url), { password: 'hunter2' }, change)
      const error: Error = await openStore({ kind: 'postgres', url: changed.href }).then(
        () => new Error('it opened'),
        error => error,
      )
      expect(`${error.stack}${JSON.stringify(error)}${error.cause}`).not.toContain('hunter2')
      return error.message
    }
    expect(await refused({ port: '1' })).toMatch(
      /^The PostgreSQL database relay_\w+ on 127\.0\.0\.1:1 can't be opened \(.*ECONNREFUSED/,
    )
    expect(await refused({})).toMatch(/password authentication failed for user "postgres"/)
    expect(await refused({ password: 'password', pathname: '/none' })).toMatch(
      /^The PostgreSQL database none on .*database "none" does not exist/,
    )
    await expect(openStore({ kind: 'postgres', url: 'postgres://relay:hun%ter2@[db/x' })).rejects.toThrow(
      /^RELAY_DATABASE isn't a PostgreSQL URL: [^@]*postgres:\/\/user:password@host:5432\/database[^@]*$/,
    )
  })
}
