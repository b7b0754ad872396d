import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { backOff } from '../../../port/retry.ts'

const CHANNEL = 'relay_work'
const NOTICE = `NOTIFY ${CHANNEL}`
/**
 * Pause before each notice. Under load, sending a notice for each commit would reduce intake throughput by a sixth. If this
 * relay can dispatch the delivery itself, its claim goes first.
 */
const REST_MS = 20

/**
 * Opens a connection for notices between relays, and reconnects. Notices are sent after the commit, because notices
 * within transactions would serialize all commits. The connection doesn't wait for the disk, because it writes no data.
 */
export async function listen(connect: () => Client, onWork: () => void) {
  let client: Client | null = null
  let timer: NodeJS.Timeout | undefined
  let failures = 0
  let closed = false
  let wanted = false
  let sending = false

  const open = async () => {
    const next = connect()
    const lost = () => {
      if (client !== next) return
      client = null
      again()
    }
    next.on('error', lost)
    next.on('end', lost)
    next.on('notification', ({ processId }) => {
      // PostgreSQL also returns this connection's own notices.
      if (processId !== (next as Client & { processID: number }).processID) onWork()
    })
    try {
      await next.connect()
      await next.query(`SET synchronous_commit = off; LISTEN ${CHANNEL}`)
      if (closed) return await next.end()
      client = next
      failures = 0
      if (!sending) void send()
    } catch {
      next.end().catch(() => {})
      again()
    }
  }
  const again = () => {
    if (closed) return
    timer = setTimeout(
      async () => {
        await open()
        // Notices could have been missed while the connection was lost.
        if (client) onWork()
      },
      backOff(failures++, 100, 2_000),
    )
  }
  const send = async () => {
    sending = true
    while (wanted && client) {
      await sleep(REST_MS)
      const used: Client | null = client
      if (!used) break
      wanted = false
      await used.query(NOTICE).catch(() => used.end().catch(() => {}))
    }
    sending = false
  }

  await open()
  return {
    /** Notifies the other relays of work. Ignores errors, because the relays also poll. */
    notify() {
      wanted = true
      if (!sending) void send()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      const last = client
      client = null
      if (wanted) await last?.query(NOTICE).catch(() => {})
      await last?.end().catch(() => {})
    },
  }
}
