import { setTimeout as sleep } from 'node:timers/promises'
import * as core from '@actions/core'
import { finish } from './finish.ts'
import { clock, createFetch } from './runner/runner.ts'

await finish({ core, env: process.env, fetch: createFetch(), clock, sleep })
