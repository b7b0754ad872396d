import { object } from '../port/invocation/values.ts'
import { type JsonObject, runKind } from '../port/types.ts'
import type { PortApi } from '../simulator/port/port.ts'
import type { Timeline } from './timeline.ts'

const OFTEN_MS = 20

/** Adds each message that Port receives about a run to the timeline, until the returned function is called. */
export function watchPort(port: PortApi, runId: string, timeline: Timeline): () => void {
  let seen = port.requests.length
  const path = `/v1/${runKind(runId) === 'node_run' ? 'workflows/nodes' : 'actions'}/runs/${runId}`
  const poll = (respondedOnly: boolean) => {
    for (const { at, method, path: asked, body, status } of port.requests.slice(seen)) {
      if (status === undefined && respondedOnly) return
      seen += 1
      if (method === 'GET' || (asked !== path && asked !== `${path}/logs`)) continue
      const message = asked === path ? change(body as JsonObject) : log(body as JsonObject)
      const isLate = status === 422 && asked !== path
      const refused = isLate
        ? 'drops a log line, because the run has finished'
        : `✗ rejects with ${status}: ${message}`
      const what = (status ?? 200) < 300 ? message : refused
      timeline.add({ at, who: 'Port', id: runId, what })
    }
  }
  const timer = setInterval(() => poll(true), OFTEN_MS)
  return () => {
    clearInterval(timer)
    poll(false)
  }
}

function log({ message, logs }: JsonObject): string {
  const lines = Array.isArray(logs) ? logs.map(each => object(each).message) : [message]
  return `adds to the log of the run:\n${withoutOrigin(lines.join('\n'))}`
}

/** The result of an action run is its `status`. A node run has a status and a result. */
function change({ status, result, statusLabel, link, links, summary, output }: JsonObject): string {
  const label = statusLabel ? `“${statusLabel}”` : ''
  const end = result ?? (status === 'IN_PROGRESS' ? undefined : status)
  const all = link ?? links
  const names = Object.keys(object(output)).filter(name => name !== 'summary')
  const parts = [
    end ? `${end === 'SUCCESS' ? '✓' : '✗'} ends the run as ${end} ${label}` : `shows ${label}`,
    end && names.length > 0 && `outputs ${names.join(', ')}`,
    all && `link ${withoutOrigin([all].flat().join(' '))}`,
    (summary ?? object(output).summary) && 'with a summary',
  ]
  return parts.filter(Boolean).join(', ')
}

/** Removes the origins from the URLs in a text, because the origins are different each time. */
const withoutOrigin = (text: string) => text.replaceAll(/https?:\/\/[^/\s]+/g, '')
