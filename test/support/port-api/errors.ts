/** Port's refusals, as its API answers them. */
const REFUSALS = {
  invalidRequest: [422, 'invalid_request', 'The data provided does not match the route schema'],
  runNotFound: [404, 'not_found', 'The action run with the provided identifier was not found'],
  nodeRunNotFound: [404, 'not_found', 'The workflow node run with the provided identifier was not found'],
  entityNotFound: [404, 'not_found', 'The entity with the provided identifier was not found'],
  hasDependents: [
    422,
    'dependent_entities_exist',
    'The entity is the target of a required relation of other entities',
  ],
  blueprintNotFound: [404, 'not_found', 'A resource with the provided identifier was not found'],
  routeNotFound: [404, 'not_found', 'Route not found'],
  runExhausted: [422, 'run_exhausted', 'Action run already finished execution'],
  runSynchronized: [
    422,
    'run_synchronized_error',
    'Cannot manually change status of a synchronized action run',
  ],
  entityRunExhausted: [400, 'run_exhausted', undefined],
  identifierTaken: [
    409,
    'identifier_taken',
    'The provided identifier already exists, identifiers must be unique',
  ],
  schemaMismatch: [
    422,
    'blueprint_schema_mismatch',
    "The provided entity does not match the blueprint's schema",
  ],
  bodyTooLarge: [413, 'body_too_large', undefined],
  unauthorized: [401, 'unauthorized', undefined],
} as const

export type Refusal = keyof typeof REFUSALS

/** The answer for one refusal; `detail` is added to the message. */
export function refuse(refusal: Refusal, detail?: string): Response {
  const [status, error, words] = REFUSALS[refusal]
  const message = words && detail ? `${words}: ${detail}` : words
  return Response.json({ ok: false, error, message }, { status })
}

/** What Port answers with a status that a trouble asks for. */
export function troubleAnswer(status: number): { body: unknown; headers?: Record<string, string> } {
  if (status === 429) {
    return {
      body: { ok: false, error: 'rate_limit_exceeded' },
      headers: { 'x-ratelimit-limit': '1000', 'x-ratelimit-period': '300', 'x-ratelimit-remaining': '0' },
    }
  }
  if (status === 401) return { body: { ok: false, error: 'unauthorized' } }
  return { body: { ok: false, error: 'internal_error', message: 'An internal error occurred' } }
}
