/**
 * A bound on what others can fill. docs/limits.md shows all of them in one table, which a test compares with
 * this registry; code reads the values from here and has none of its own.
 */
export interface Bound {
  /** What is bounded: the first column of the table. */
  what: string
  value: number
  unit: 'bytes' | 'bytes a second' | 'ms' | '× RELAY_MAX_BODY' | ''
  /** What happens beyond it: the last column. */
  beyond: string
}

const KB = 1024
const MB = 1024 * KB

export const BOUNDS = {
  requestLine: {
    what: 'first line and headers of a request',
    value: 16 * KB,
    unit: 'bytes',
    beyond: '431',
  },
  /** A load balancer keeps hundreds. */
  connections: {
    what: 'open connections',
    value: 4_000,
    unit: '',
    beyond: 'the oldest idle one of the address with the most is closed',
  },
  headersTime: {
    what: 'time for the headers of a request to arrive',
    value: 10_000,
    unit: 'ms',
    beyond: '408',
  },
  requestTime: {
    what: 'time for a whole request to arrive',
    value: 30_000,
    unit: 'ms',
    beyond: '408',
  },
  bodyRate: {
    what: 'average rate at which a body arrives, at least',
    value: 8 * KB,
    unit: 'bytes a second',
    beyond: '408',
  },
  bodyRateGrace: {
    what: 'time after which that rate is demanded',
    value: 3_000,
    unit: 'ms',
    beyond: '–',
  },
  /** A packet has far more; each piece costs as much as a thousand bytes. */
  bodyPiece: {
    what: 'average size of the pieces in which a body arrives, at least, after the first 200',
    value: 16,
    unit: 'bytes',
    beyond: '400',
  },
  jsonDepth: {
    what: 'levels of nesting in a body',
    value: 90,
    unit: '',
    beyond: '400',
  },
  webhookArriving: {
    what: 'memory for Port webhooks that are arriving',
    value: 32,
    unit: '× RELAY_MAX_BODY',
    beyond: 'the slowest is dropped with 503',
  },
  webhookProcessing: {
    what: 'memory for Port webhooks that are being persisted',
    value: 64,
    unit: '× RELAY_MAX_BODY',
    beyond: '503',
  },
  githubBody: {
    what: 'body of a GitHub webhook',
    value: 25 * MB,
    unit: 'bytes',
    beyond: '413',
  },
  githubArriving: {
    what: 'memory for GitHub webhooks that are arriving',
    value: 64 * MB,
    unit: 'bytes',
    beyond: 'the slowest is dropped with 503',
  },
  githubProcessing: {
    what: 'memory for GitHub webhooks that are being processed',
    value: 32 * MB,
    unit: 'bytes',
    beyond: '503',
  },
  reportBody: {
    what: 'body of `POST /report`',
    value: 256 * KB,
    unit: 'bytes',
    beyond: '413',
  },
  reportStartBody: {
    what: 'body of `POST /report/start` and `/report/inputs`',
    value: 4 * KB,
    unit: 'bytes',
    beyond: '413',
  },
  reportArriving: {
    what: 'memory for reports that are arriving',
    value: 8 * MB,
    unit: 'bytes',
    beyond: 'the slowest is dropped with 503',
  },
  reportProcessing: {
    what: 'memory for reports that are being persisted',
    value: 16 * MB,
    unit: 'bytes',
    beyond: '503',
  },
  reportRate: {
    what: 'reports a minute of one workflow run',
    value: 1_200,
    unit: '',
    beyond: '429',
  },
  /** Each job of a run starts: a matrix has up to 256. */
  reportStartRate: {
    what: 'starts of reports a minute of one workflow run',
    value: 300,
    unit: '',
    beyond: '429',
  },
  /** Each job of a run waits for its answer before it sends the next: a matrix has up to 256. */
  reportsWaiting: {
    what: 'reports of one delivery that are under way at once',
    value: 300,
    unit: '',
    beyond: '429',
  },
  reportsWaitingInAll: {
    what: 'reports that are under way at once',
    value: 600,
    unit: '',
    beyond: '503',
  },
  reportMessages: {
    what: 'log messages, updates and entities of one report',
    value: 500,
    unit: '',
    beyond: '400',
  },
  reportLines: {
    what: 'log lines, updates and entities that the reports of one delivery may hold',
    value: 100_000,
    unit: '',
    beyond: '413; a conclusion is accepted',
  },
  reportBytes: {
    what: 'size of all reports of one delivery',
    value: 20 * MB,
    unit: 'bytes',
    beyond: '413; a conclusion is accepted',
  },
  reportGrace: {
    what: 'time after its end in which a delivery accepts reports',
    value: 60_000,
    unit: 'ms',
    beyond: '410',
  },
  reportToken: {
    what: 'lifetime of a report token',
    value: 6 * 3_600_000,
    unit: 'ms',
    beyond: '401; renewed by each report after half of it',
  },
  events: {
    what: "entries of a delivery's history",
    value: 200,
    unit: '',
    beyond: 'the first 50 and the last 150 are kept',
  },
  answer: {
    what: "an answer of Port, of GitHub or of GitHub's OIDC issuer",
    value: 16 * MB,
    unit: 'bytes',
    beyond: 'not read; treated as no answer',
  },
  logWaiting: {
    what: "lines of the relay's log that wait to be written",
    value: 16 * MB,
    unit: 'bytes',
    beyond: 'further lines are dropped',
  },
  refused: {
    what: 'refused webhooks that are kept; the same again counts once',
    value: 1_000,
    unit: '',
    beyond: 'the oldest are forgotten',
  },
  listed: {
    what: 'deliveries that one list looks through for an action',
    value: 10_000,
    unit: '',
    beyond: '`next` in the answer continues the list',
  },
  waitingWebhooks: {
    what: 'webhooks that wait to be persisted',
    value: 10_000,
    unit: '',
    beyond: '503',
  },
  waitingBytes: {
    what: 'size of webhooks that wait to be persisted',
    value: 128 * MB,
    unit: 'bytes',
    beyond: '503',
  },
} as const satisfies Record<string, Bound>
