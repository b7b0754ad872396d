import { listen, receiveWith } from './listen.ts'
import { openQueue } from './sqlite-queue.ts'

const { insert } = openQueue()
listen(receiveWith(async (runId, body) => insert.run(runId, body)))
