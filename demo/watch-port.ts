import type { JsonObject } from '../port/types.ts'
import type { PortApi } from '../tools/simulator/port/port.ts'
import type { Timeline } from './timeline.ts'

const OFTEN_MS = 20

/** Adds each message that Port receives about a run to the timeline, until the returned function is called. */
export function watchPort(port: PortApi, runId: string, timeline: Timeline): () => void {
  let seen = port.requests.length
  const path = `/v1/actions/runs/${runId}`
  const poll = (respondedOnly: boolean) => {
    for (const { at, method, path: asked, body, status } of port.requests.slice(seen)) {
      if (status === undefined && respondedOnly) return
      seen += 1
      if (method === 'GET' || (asked !== path && asked !== `${path}/logs`)) continue
      const message = asked === path ? change(body as JsonObject) : log(body as JsonObject)
      const what = (status ?? 200) < 300 ? message : `✗ rejects with ${status}: ${message}`
      timeline.add({ at, who: 'Port', id: runId, what })
    }
  }
  const timer = setInterval(() => poll(true), OFTEN_MS)
  return () => {
    clearInterval(timer)
    poll(false)
  }
}

const log = ({ message }: JsonObject) => `adds to the log of the run:\n${withoutOrigin(String(message))}`

function change({ status, statusLabel, link, summary }: JsonObject): string {
  const label = statusLabel ? `“${statusLabel}”` : ''
  const parts = [
    status ? `${status === 'SUCCESS' ? '✓' : '✗'} ends the run as ${status} ${label}` : `shows ${label}`,
    link && `link ${withoutOrigin([link].flat().join(' '))}`,
    summary && 'with a summary',
  ]
  return parts.filter(Boolean).join(', ')
}

/** Removes the origins from the URLs in a text, because the origins are different each time. */
const withoutOrigin = (text: string) => text.replaceAll(/https?:\/\/[^/\s]+/g, '')
