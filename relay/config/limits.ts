import { OUTPUTS } from '../../port/client/run-bodies.ts'

const KB = 1024
const MB = 1024 * KB
const SECOND = 1_000

/**
 * Limits in bytes (KB, MB), in milliseconds, or as a number. docs/limits.md explains each limit, and what happens if the
 * limit is exceeded. A test compares these values with the table in docs/limits.md, in this order.
 */
export const LIMITS = {
  requestLine: 16 * KB,
  /** A load balancer keeps hundreds of connections open. */
  connections: 4_000,
  requestsAtOnce: 1,
  headersTime: 10 * SECOND,
  requestTime: 30 * SECOND,
  stalledTime: 60 * SECOND,
  bodyRate: 8 * KB,
  bodyRateGrace: 3 * SECOND,
  /** The minimum average size of the pieces in which a body arrives. Each piece uses about 1 KB of additional memory. */
  bodyPiece: 16,
  /** GitHub's JSON parser accepts up to 100 nesting levels. The client payload adds a few levels to the body. */
  jsonDepth: 90,
  encryptedInputs: 200,
  jsonKeys: 20_000,
  /** This limit and the next one are multiples of RELAY_MAX_BODY. */
  webhookArriving: 32,
  webhookProcessing: 64,
  githubBody: 25 * MB,
  githubArriving: 64 * MB,
  githubProcessing: 32 * MB,
  databaseChecks: 60,
  reportBody: 256 * KB,
  reportStartBody: 4 * KB,
  reportArriving: 8 * MB,
  reportProcessing: 16 * MB,
  reportRate: 1_200,
  /** Each job of a run sends a start request, and requests the inputs once. A matrix has up to 256 jobs. */
  reportStartRate: 300,
  reportInputsRate: 300,
  /** Each job of a run waits for the response before it sends the next report. */
  reportsWaiting: MB,
  reportsWaitingOfRepository: 4 * MB,
  reportMessages: 500,
  reportLines: 100_000,
  reportBytes: 20 * MB,
  reportJobs: 1_000,
  outputs: OUTPUTS.maxBytes,
  reportGrace: 60 * SECOND,
  reportToken: 6 * 3_600 * SECOND,
  signInRate: 5,
  events: 200,
  response: 16 * MB,
  workflowTriggers: 8 * KB,
  logWaiting: 16 * MB,
  loggedReasons: 20,
  refusalReasons: 50,
  refused: 100,
  listed: 10_000,
  waitingWebhooks: 10_000,
  waitingBytes: 128 * MB,
}
