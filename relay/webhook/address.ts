import type { Context } from 'hono'
import { Problem } from '../http/problem.ts'
import type { NamedTarget } from './target.ts'

const PARAMETERS = ['event_type', 'workflow', 'ref', 'wait'] as const

/**
 * What the address of a webhook holds: its target, and whether the answer waits for the dispatch.
 *
 * @throws Problem 422 for a parameter that is unknown, has an unknown value, or occurs twice: ignoring it would send the
 *   delivery elsewhere
 */
export function readAddress(c: Context): { url: NamedTarget; wait: boolean } {
  const { owner, repo } = c.req.param() as Record<string, string | undefined>
  const repository = owner === undefined ? null : `${owner}/${repo}`
  if (!c.req.url.includes('?')) {
    return { url: { repository, eventType: null, workflow: null, ref: null }, wait: false }
  }
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (!PARAMETERS.some(known => known === name)) {
      throw refuse(
        `has the parameter ${quote(name)}, which the relay does not know: ${PARAMETERS.join(', ')}`,
      )
    }
    if (values.length > 1) throw refuse(`has the parameter ${name} ${values.length} times: keep one`)
  }
  const wait = c.req.query('wait')
  if (wait && wait !== 'dispatch') throw refuse(`has wait=${quote(wait)}: it can be "dispatch" only`)
  return {
    url: {
      repository,
      eventType: c.req.query('event_type') || null,
      workflow: c.req.query('workflow') || null,
      ref: c.req.query('ref') || null,
    },
    wait: wait === 'dispatch',
  }
}

const refuse = (fault: string) => new Problem(422, `The address of the webhook ${fault}.`)
const quote = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
