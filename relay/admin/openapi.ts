import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { LIMITS } from '../config/limits.ts'
import { OUTCOMES, STATES } from '../delivery/delivery.ts'
import { bulkRequest, filterFields } from './filter.ts'
import { newFreeze } from './freezes.ts'

const text = { type: 'string' }
const time = { type: 'string', format: 'date-time' }
const whole = { type: 'integer', minimum: 0 }
const flag = { type: 'boolean' }
const orNull = <T extends { type: string }>(schema: T) => ({ ...schema, type: [schema.type, 'null'] })
const described = <T extends object>(description: string, schema: T) => ({ ...schema, description })
const object = (properties: Record<string, object>) => ({
  ...{ type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
})
const list = (items: object) => ({ type: 'array', items })
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const delivery = {
  delivery: described("the delivery's id", text),
  seq: described('order of acceptance; pass it as `before` to get older deliveries', whole),
  state: { type: 'string', enum: STATES },
  outcome: described('how the delivery went; null while it is open', { enum: [...OUTCOMES, null] }),
  reason: described('why the delivery failed, or why its dispatch waits', orNull(text)),
  run_id: described('the run in Port', orNull(text)),
  action: orNull(text),
  repository: text,
  event_type: described('the event type of a repository_dispatch', orNull(text)),
  workflow: described('the workflow of a workflow_dispatch', orNull(text)),
  ref: orNull(text),
  github_run_id: orNull(whole),
  evidence: {
    enum: ['response', 'report', 'port', 'title', 'candidate', null],
    description: 'how the relay knows that the workflow run belongs to the delivery',
  },
  attempts: described('dispatch attempts since the delivery was queued', whole),
  waiting_for: described(
    'what an open delivery waits for, as in Port, such as `Waiting for a runner: LABELS`',
    orNull(text),
  ),
  blocked_by: described(
    'the earlier delivery to the same repository that this delivery waits for',
    orNull(object({ delivery: text, run_id: orNull(text) })),
  ),
  cancel_requested_at: orNull(time),
  received_at: time,
  updated_at: time,
  due_at: orNull(time),
}
const event = object({ time, type: text, details: { type: 'object' } })
const portRunEnded = described(
  "whether the run in Port has finished (if so, Port won't show a new workflow run); null if unknown",
  orNull(flag),
)

const accepted = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' })
const get = <T>(operation: T) => ({ get: operation })
const post = <T>(operation: T) => ({ post: operation })
const query = (name: string, schema: unknown) => ({ name, in: 'query', schema })
const id = { name: 'id', in: 'path', required: true, schema: text }
const dryRun = described('change nothing, and show what would be redelivered', flag)

const json = (description: string, schema: object) =>
  described(description, { content: { 'application/json': { schema } } })
const problems = (...statuses: number[]) =>
  Object.fromEntries(
    [401, 404, 429, ...statuses].map(status => [
      status,
      { description: PROBLEMS[status], content: { 'application/problem+json': { schema: ref('Problem') } } },
    ]),
  )
const PROBLEMS: Record<number, string> = {
  400: 'A parameter or a field is invalid.',
  401: 'The token is missing or unknown.',
  403: 'RELAY_VIEW_TOKEN only allows reading.',
  404: "The delivery or freeze doesn't exist, or the API is off.",
  409: "The state of the delivery doesn't allow the change.",
  413: 'The body is too large.',
  429: 'The sender has sent too many wrong tokens.',
}

/** The admin API's OpenAPI 3.1 description, returned by `GET /api/openapi.json`. */
export const openApi = {
  openapi: '3.1.0',
  info: {
    title: 'Port webhook relay',
    version: packageJson.version,
    description: 'Deliveries (webhooks accepted from Port) and their outcomes.',
  },
  security: [{ token: [] }],
  paths: {
    '/api/openapi.json': get({
      summary: 'This description',
      responses: { 200: json('OpenAPI 3.1', { type: 'object' }), ...problems() },
    }),
    '/api/deliveries': get({
      summary: 'Deliveries, newest first',
      parameters: [
        ...Object.entries(accepted(filterFields).properties!).map(([name, schema]) => query(name, schema)),
        query('limit', { type: 'integer', minimum: 1, maximum: LIMITS.listedAtOnce, default: 50 }),
        query('before', described('`next` of the previous response', { type: 'integer', minimum: 1 })),
      ],
      responses: {
        200: json(
          'A page of deliveries; the next page starts at `next`, which is null on the last page',
          ref('Deliveries'),
        ),
        ...problems(400),
      },
    }),
    '/api/deliveries/{id}': get({
      summary: 'One delivery with its history',
      parameters: [id],
      responses: { 200: json('The delivery', ref('DeliveryWithEvents')), ...problems() },
    }),
    '/api/deliveries/{id}/redeliver': post({
      summary: 'Queues a failed or canceled delivery again',
      parameters: [id, query('dry_run', dryRun)],
      responses: {
        200: json('With dry_run: the delivery can be redelivered', ref('Redeliverable')),
        202: json('The delivery is queued', ref('Changed')),
        ...problems(400, 403, 409),
      },
    }),
    '/api/deliveries/{id}/cancel': post({
      summary: 'Cancels a delivery and its workflow run on GitHub',
      parameters: [id],
      responses: {
        202: json('The delivery is canceled, or is being canceled', ref('Changed')),
        ...problems(403, 409),
      },
    }),
    '/api/redeliver': post({
      summary: 'Requeues all failed or canceled deliveries that match a filter, oldest first',
      requestBody: { required: true, content: { 'application/json': { schema: ref('Bulk') } } },
      responses: {
        200: json('With dry_run: what would be redelivered', ref('Redelivered')),
        202: json('The queued deliveries', ref('Redelivered')),
        ...problems(400, 403, 413),
      },
    }),
    '/api/freezes': {
      ...get({ summary: 'Active freezes', responses: { 200: json('', ref('Freezes')), ...problems() } }),
      ...post({
        summary: 'Starts a deploy freeze: deliveries that match stay queued',
        requestBody: { required: true, content: { 'application/json': { schema: ref('NewFreeze') } } },
        responses: { 201: json('The freeze', ref('Freeze')), ...problems(400, 403, 413) },
      }),
    },
    '/api/freezes/{id}': {
      delete: {
        summary: 'Ends a deploy freeze; its deliveries are dispatched in order, or canceled',
        parameters: [
          id,
          query('discard', described('cancel the frozen deliveries instead of dispatching them', flag)),
        ],
        responses: {
          202: json('The freeze has ended', object({ id: whole, discard: flag })),
          ...problems(400, 403),
        },
      },
    },
    '/api/refused': get({
      summary: 'Webhooks that this relay has refused since it was started, newest first',
      parameters: [
        query('limit', { type: 'integer', minimum: 1, maximum: LIMITS.refusedAtOnce, default: 100 }),
      ],
      responses: { 200: json('The refused webhooks', ref('Refused')), ...problems(400) },
    }),
  },
  components: {
    securitySchemes: {
      token: {
        type: 'http',
        scheme: 'bearer',
        description: 'RELAY_ADMIN_TOKEN; RELAY_VIEW_TOKEN is enough for GET',
      },
    },
    schemas: {
      Delivery: object(delivery),
      Deliveries: object({ deliveries: list(ref('Delivery')), next: orNull(whole) }),
      DeliveryWithEvents: object({ ...delivery, events: list(event) }),
      Changed: object({ delivery: text, state: delivery.state }),
      Redeliverable: object({
        ...{ delivery: text, state: delivery.state, dry_run: { const: true }, port_run_ended: portRunEnded },
      }),
      Bulk: { ...accepted(bulkRequest), anyOf: [{ required: ['state'] }, { required: ['outcome'] }] },
      Redelivered: object({
        dry_run: flag,
        deliveries: described(
          'oldest first; with dry_run, `port_run_ended` is included',
          list({ ...object({ ...delivery, port_run_ended: portRunEnded }), required: Object.keys(delivery) }),
        ),
        redelivered: whole,
        more: described('whether older deliveries match as well', flag),
      }),
      Freezes: object({ freezes: list(ref('Freeze')) }),
      Freeze: object({
        ...{ id: whole, repositories: text, reason: text, until: orNull(time) },
        ...{ since: time, deliveries: whole },
        started_by: described('`api` or `dashboard`; null if an earlier version started it', orNull(text)),
      }),
      NewFreeze: accepted(newFreeze),
      Refused: object({
        since: described("when this relay was started; earlier refusals aren't kept", time),
        last_hour: object({
          count: described('how many signed webhooks were refused with 4xx', whole),
          statuses: described('the count for each status, such as `12 × 401`', list(text)),
          reason: described('the most frequent reason; empty if no webhook was refused', text),
        }),
        refused: list(
          object({
            first_at: time,
            last_at: time,
            count: described('how many times the same webhook was refused', whole),
            status: whole,
            reason: described('the error in the response', text),
            sender: described("the sender's address or, for IPv6, its network", text),
            repository: described('the repository in the URL', orNull(text)),
          }),
        ),
      }),
      Problem: object({
        type: text,
        title: text,
        status: whole,
        detail: described('what failed, and what to change', text),
      }),
    },
  },
}
