import { OUTPUTS } from '../../port/client/messages.ts'
/**
 * A limit on a resource that callers could otherwise exhaust. All code reads its limits from this registry. A test
 * compares the registry with the table in docs/limits.md.
 */
export interface Limit {
  /** What is limited (first column of the table). */
  what: string
  value: number
  unit: 'bytes' | 'bytes a second' | 'ms' | '× RELAY_MAX_BODY' | ''
  /** What happens beyond the limit (last column). */
  beyond: string
}

const KB = 1024
const MB = 1024 * KB

const of =
  (unit: Limit['unit']) =>
  (what: string, value: number, beyond: string): Limit => ({ what, value, unit, beyond })
const [bytes, rate, ms, bodies, amount] = [
  of('bytes'),
  of('bytes a second'),
  of('ms'),
  of('× RELAY_MAX_BODY'),
  of(''),
]

export const LIMITS = {
  requestLine: bytes('first line and headers of a request', 16 * KB, '431'),
  /** A load balancer keeps hundreds of connections open. */
  connections: amount(
    'open connections',
    4_000,
    'the oldest idle connection of the address with the most connections is closed',
  ),
  requestsAtOnce: amount('concurrent requests on one connection', 1, 'the connection is closed'),
  headersTime: ms('time for the headers of a request to arrive', 10_000, '408'),
  requestTime: ms('time for a whole request to arrive', 30_000, '408'),
  stalledTime: ms('time without progress in sending a response', 60_000, 'the connection is closed'),
  bodyRate: rate('minimum average rate of an arriving body', 8 * KB, '408'),
  bodyRateGrace: ms('time after which the minimum rate applies', 3_000, '–'),
  /** A packet can carry much larger pieces. Each piece adds about a thousand bytes of memory. */
  bodyPiece: bytes(
    'minimum average size of pieces of an arriving body, after the first 200 pieces',
    16,
    '400',
  ),
  jsonDepth: amount('nesting levels of a body', 90, '400'),
  encryptedInputs: amount('encrypted inputs of a webhook', 200, '422'),
  jsonKeys: amount('keys in all objects of a body, in total', 20_000, '422'),
  webhookArriving: bodies(
    'memory for Port webhooks that are arriving',
    32,
    'the slowest is dropped with 503',
  ),
  webhookProcessing: bodies('memory for Port webhooks that are being persisted', 64, '503'),
  githubBody: bytes('body of a GitHub webhook', 25 * MB, '413'),
  githubArriving: bytes(
    'memory for GitHub webhooks that are arriving',
    64 * MB,
    'the slowest is dropped with 503',
  ),
  githubProcessing: bytes('memory for GitHub webhooks that are being processed', 32 * MB, '503'),
  databaseChecks: amount(
    'test writes to the database by `/readyz`, per minute',
    60,
    'the last result is returned',
  ),
  reportBody: bytes('body of `POST /report`', 256 * KB, '413'),
  reportStartBody: bytes('body of `POST /report/start` and `/report/inputs`', 4 * KB, '413'),
  reportArriving: bytes('memory for reports that are arriving', 8 * MB, 'the slowest is dropped with 503'),
  reportProcessing: bytes('memory for reports that are being persisted', 16 * MB, '503'),
  reportRate: amount('reports per minute from one workflow run', 1_200, '429'),
  /** Each job of a run sends a start request. A matrix has up to 256 jobs. */
  reportStartRate: amount('start requests per minute from one workflow run', 300, '429'),
  /** Each job of a run requests the inputs once, in the post step. */
  reportInputsRate: amount('requests for inputs per minute from one workflow run', 300, '429'),
  inputsKept: bytes(
    'memory for decrypted inputs, which are cached for 10 minutes',
    16 * MB,
    'the oldest are decrypted again',
  ),
  /** Each job of a run waits for the response before it sends the next report. A matrix has up to 256 jobs. */
  reportsWaiting: bytes('waiting reports of one delivery', MB, '429'),
  reportsWaitingOfRepository: bytes('waiting reports of one repository', 4 * MB, '429'),
  reportMessages: amount('log messages, updates and entities of one report', 500, '400'),
  reportLines: amount(
    'log lines, updates and entities in the reports of one delivery',
    100_000,
    '413; a conclusion is accepted',
  ),
  reportBytes: bytes('size of all reports of one delivery', 20 * MB, '413; a conclusion is accepted'),
  reportJobs: amount(
    'jobs of a workflow run that report their results',
    1_000,
    "413; GitHub's conclusion still includes the job",
  ),
  outputs: bytes(
    'outputs of one node run',
    OUTPUTS.maxBytes,
    '400; if several jobs exceed the limit together, outputs are omitted, with a line in the log',
  ),
  reportGrace: ms('time for which a finished delivery still accepts log lines', 60_000, '410'),
  reportToken: ms(
    'lifetime of a report token',
    6 * 3_600_000,
    '401; each report after half of the lifetime renews the token',
  ),
  signInRate: amount(
    'sign-in attempts and requests with a wrong token from one sender, per minute',
    5,
    '429',
  ),
  events: amount("entries of a delivery's history", 200, 'the first 50 and the last 150 are kept'),
  response: bytes(
    "a response of Port, GitHub, or GitHub's OIDC issuer",
    16 * MB,
    'not read; treated as no response',
  ),
  workflowTriggers: bytes(
    '`on:` section of a workflow file that is read for its inputs and event types',
    8 * KB,
    "not read; GitHub's responses show which inputs a workflow doesn't declare",
  ),
  logWaiting: bytes('log lines of the relay that wait to be written', 16 * MB, 'further lines are dropped'),
  loggedReasons: amount('reasons that one line of the log counts', 20, 'counted together, as `others`'),
  refusalReasons: amount(
    'remembered reasons for refused webhooks',
    50,
    'the reason that occurred longest ago is forgotten',
  ),
  refused: amount(
    'refused webhooks that are kept for each reason; repeats count once',
    100,
    'the oldest are forgotten',
  ),
  listed: amount(
    'deliveries that one list request reads if it filters by action',
    10_000,
    '`next` in the response continues the list',
  ),
  waitingWebhooks: amount('webhooks that wait to be persisted', 10_000, '503'),
  waitingBytes: bytes('size of webhooks that wait to be persisted', 128 * MB, '503'),
} satisfies Record<string, Limit>
