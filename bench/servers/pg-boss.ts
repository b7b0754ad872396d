import { PgBoss } from 'pg-boss'
import { listen, receiveWith } from './listen.ts'

const boss = new PgBoss(process.env.BENCH_DATABASE ?? '')
boss.on('error', error => console.error(error))
await boss.start()
await boss.createQueue('webhooks', { policy: 'standard' })
listen(receiveWith((runId, body) => boss.send('webhooks', { body }, { singletonKey: runId })))
