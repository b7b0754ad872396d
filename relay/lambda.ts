import pino from 'pino'
import { readConfig } from './config/config.ts'
import { useProxy } from './http/outgoing.ts'
import { createHandler } from './lambda-handler.ts'
import { createLog } from './log.ts'

useProxy(process.env)
const config = readConfig(process.env)
/** What AWS Lambda calls. Lines are written at once: the process is frozen after each response. */
export const handler = createHandler(
  config,
  createLog(config.logLevel, pino.destination({ dest: 1, sync: true })),
)
