import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as core from '@actions/core'
import { clock, createFetch } from './runner/runner.ts'
import { start } from './start.ts'

const progressScript = join(dirname(process.argv[1]!), '../progress/index.js')

await start({ core, env: process.env, fetch: createFetch(), clock, sleep }, progressScript)
