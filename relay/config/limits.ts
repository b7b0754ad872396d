import { OUTPUTS } from '../../port/client/run-bodies.ts'
import { MAX_TRIGGERS } from '../../workflow-files/triggers.ts'

const KB = 1024
const MB = 1024 * KB
const SECOND = 1_000

/** The limits, in bytes, milliseconds, or as counts. docs/limits.md explains each limit. A test compares its table with these values, in this order. */
export const LIMITS = {
  requestLine: 16 * KB,
  /** The limit is high, because a load balancer keeps hundreds of connections open. */
  connections: 4_000,
  keepAliveTime: 65 * SECOND,
  /** The number of consecutive unverified requests after which a connection is closed. */
  unverifiedInARow: 3,
  /** After refusing a body, the relay reads the rest for this long before it closes the connection. */
  lingerTime: 2_000,
  requestsAtOnce: 1,
  headersTime: 10 * SECOND,
  requestTime: 30 * SECOND,
  stalledTime: 60 * SECOND,
  bodyRate: 8 * KB,
  bodyRateGrace: 3 * SECOND,
  /** The minimum average size of the pieces in which a body arrives. Each piece uses about 1 KB of memory. */
  bodyPiece: 16,
  firstPieces: 200,
  /** GitHub's JSON parser accepts up to 100 levels. In the client payload, the body is nested a few levels deep. */
  jsonDepth: 90,
  encryptedInputs: 200,
  jsonKeys: 20_000,
  /** Parsing 1 MB with 20,000 keys takes tens of milliseconds. */
  webhookInSteps: 64 * KB,
  /** Port's agent waits 30 s for a response. */
  dispatchWait: 20 * SECOND,
  /** This limit and the next one are multiples of RELAY_MAX_BODY. */
  webhookArriving: 32,
  webhookProcessing: 64,
  githubBody: 25 * MB,
  githubArriving: 64 * MB,
  githubProcessing: 32 * MB,
  idleSenders: 1_000,
  countedSenders: 10_000,
  forwardedAddress: 100,
  databaseChecks: 60,
  reportBody: 256 * KB,
  reportStartBody: 4 * KB,
  reportArriving: 8 * MB,
  reportProcessing: 16 * MB,
  reportRate: 1_200,
  /** Each job of a run sends one start request, and requests the inputs once. A matrix can have 256 jobs. */
  reportStartRate: 300,
  reportInputsRate: 300,
  /** A job waits for the response to a report before it sends the next report. */
  reportsWaiting: MB,
  reportsWaitingOfRepository: 4 * MB,
  reportMessages: 500,
  reportLines: 100_000,
  reportText: 1_000,
  reportName: 300,
  reportLinks: 10,
  reportLink: 2_000,
  reportBytes: 20 * MB,
  reportJobs: 1_000,
  outputs: OUTPUTS.maxBytes,
  reportGrace: 60 * SECOND,
  reportToken: 6 * 3_600 * SECOND,
  /** GitHub's tokens have about 2,000 characters, and expire after about 5 minutes. */
  oidcToken: 8_000,
  oidcTokenAge: 600 * SECOND,
  /** Forged tokens can cause requests for keys. */
  oidcKeys: 3 * SECOND,
  knownRuns: 1_000,
  signInRate: 5,
  session: 12 * 3_600 * SECOND,
  form: 16 * KB,
  adminBody: 4 * KB,
  listedAtOnce: 200,
  refusedAtOnce: 1_000,
  redeliveredAtOnce: 1_000,
  /** Most of GitHub's rate limit must remain for dispatches. */
  stepsRate: 20,
  shownInvocation: 64 * KB,
  events: 200,
  response: 16 * MB,
  workflowTriggers: MAX_TRIGGERS,
  logWaiting: 16 * MB,
  loggedReasons: 20,
  loggedPath: 200,
  reason: 500,
  refusalReasons: 50,
  refused: 100,
  listed: 10_000,
  waitingWebhooks: 10_000,
  waitingBytes: 128 * MB,
}
