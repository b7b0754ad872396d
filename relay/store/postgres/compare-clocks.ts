import type { ClientBase } from 'pg'

/** Leases are times, so relays that share a database must have one time: a clock that is ahead ends the others' leases. */
const MOST_APART_MS = 10_000

/** This machine's clock and the database's are apart. */
export class ClocksApart extends Error {
  constructor(here: number, there: number) {
    super(
      `The clock of this machine says ${time(here)} and that of the PostgreSQL server ${time(there)}: relays that share a database must agree within ${MOST_APART_MS / 1000} s, else one takes over what another is doing. Set both clocks by NTP.`,
    )
    this.name = 'ClocksApart'
  }
}

/** @throws ClocksApart where they are more than 10 s apart, however long the question took */
export async function compareClocks(client: ClientBase, clock: () => number): Promise<void> {
  const before = clock()
  const { rows } = await client.query<{ now: number }>(
    'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now',
  )
  const after = clock()
  const there = Number(rows[0]?.now)
  if (there < before - MOST_APART_MS || there > after + MOST_APART_MS) throw new ClocksApart(after, there)
}

const time = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`
