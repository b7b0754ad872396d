import { Logger, makeWorkerUtils } from 'graphile-worker'
import { listen, receiveWith } from './listen.ts'

const logger = new Logger(() => () => {})
const utils = await makeWorkerUtils({ connectionString: process.env.BENCH_DATABASE ?? '', logger })
await utils.migrate()
listen(receiveWith((runId, body) => utils.addJob('webhook', { body }, { jobKey: runId })))
