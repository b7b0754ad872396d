import pino from 'pino'
import { readConfig } from './config/config.ts'
import { useProxy } from './config/outgoing.ts'
import { createHandler } from './lambda-handler.ts'
import { createLog } from './log.ts'

useProxy(process.env)
const config = readConfig(process.env)
/** The entry point for AWS Lambda. Log lines are written immediately, because AWS freezes the process after each response. */
export const handler = createHandler(
  config,
  createLog(config.logLevel, pino.destination({ dest: 1, sync: true })),
)
