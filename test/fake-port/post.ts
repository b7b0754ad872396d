import { readRun } from './read-run.ts'

const state = (name: string) => process.env[`STATE_${name}`]!
const access = { clientId: state('client-id'), clientSecret: state('client-secret') }
const { run, lines } = await readRun(state('url'), access, state('run-id'))
console.log(JSON.stringify(run, null, 2), lines)
if (run.status !== 'SUCCESS') {
  console.log(`::error::The action run in Port is ${run.status}, not SUCCESS.`)
  process.exitCode = 1
}
