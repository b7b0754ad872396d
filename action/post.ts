import { setTimeout as sleep } from 'node:timers/promises'
import * as core from '@actions/core'
import { finish } from './finish/finish.ts'
import { clock } from './runner/clock.ts'
import { createFetch } from './runner/fetch.ts'

await finish({ core, env: process.env, fetch: createFetch(), clock, sleep })
