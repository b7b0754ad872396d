import { setTimeout as sleep } from 'node:timers/promises'
import * as core from '@actions/core'
import { clock } from './clock.ts'
import { createFetch } from './fetch.ts'
import { finish } from './finish.ts'

await finish({ core, env: process.env, fetch: createFetch(), clock, sleep })
