import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/relay.ts'
import { simulate } from './simulation.ts'

/** `SIMULATED_DELIVERIES=10000` runs the complete form; `SIMULATION_SEED` repeats a run. */
const DELIVERIES = Number(process.env.SIMULATED_DELIVERIES ?? 100)
const SEED = Number(process.env.SIMULATION_SEED ?? Math.floor(Math.random() * 2 ** 31))

test(`${DELIVERIES} deliveries: Port gets no wrong result, and the relay identifies every titled workflow run`, {
  timeout: 600_000 + DELIVERIES * 200,
}, async () => {
  const findings = await simulate({ deliveries: DELIVERIES, seed: SEED, folder: temporaryFolder() })
  const { wrong, wronglyUnidentified, open, twice, ...counts } = findings
  console.log(`seed ${SEED}: ${JSON.stringify(counts)}`)
  expect({ wrong, wronglyUnidentified, open, twice }, `SIMULATION_SEED=${SEED}`).toEqual({
    wrong: [],
    wronglyUnidentified: [],
    open: [],
    twice: [],
  })
  expect(counts.deliveries).toBe(DELIVERIES)
  expect(Math.min(counts.succeeded, counts.failed, counts.unidentified, counts.restarts)).toBeGreaterThan(0)
})
