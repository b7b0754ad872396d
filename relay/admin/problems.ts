import type { Listed, Stalled } from '../delivery/delivery.ts'
import { clockTime } from '../delivery/outcome.ts'
import { describeWithoutRunner, OTHERS_FIRST } from '../delivery/shown-wait.ts'
import { ownerOf, type RateLimitPause } from '../github/rate-limit-pause.ts'
import { describeRefused, type Refusals } from '../http/refusals.ts'
import type { Freeze } from '../store/store.ts'
import { SOON_MS } from '../workers/maintenance.ts'
import { amount, counted, span } from './dashboard/format.ts'
import type { AddressStatus } from './public-address.ts'
import { RESTART, type Side, type SideProblem } from './sides.ts'

/** What the relay knows about its parts. Times are milliseconds since 1970 by the store's clock. */
export interface Health {
  now: number
  problems: readonly SideProblem[]
  /** The services that the relay uses, each with the time of the last successful request. */
  sides: readonly { side: Side; lastSuccess: number | null }[]
  /** Why the database doesn't accept writes; null if it does. */
  database: string | null
  /** What to do if a newer relay has upgraded the database; otherwise null. */
  outdated: string | null
  limits: readonly RateLimitPause[]
  rateLimitRemaining: number | null
  freezes: readonly Freeze[]
  /** Whether the database could be read. If not, the following numbers, lists, and times are empty. */
  isRead: boolean
  frozen: number
  queued: number
  /** Queues that aren't paused, but from which nothing was dispatched for a minute; the longest wait first. */
  stalled: readonly Stalled[]
  /** Deliveries whose workflow runs have waited too long for a runner, the longest wait first. */
  waiting: readonly Listed[]
  /** When the oldest queued delivery was queued; null for an empty queue. */
  queuedSince: number | null
  /** When the oldest waiting message to Port was written; null if no message is waiting. */
  oldestMessage: number | null
  /** The delivery of the oldest message, and why the message waits; null if unknown. */
  oldestOf: string | null
  oldestReason: string | null
  /** The end of the pause for messages to Port; 0 without a pause. */
  portPausedUntil: number
  tokenExpiresAt: number | null
  clock: string | null
  refused: ReturnType<Refusals['recent']>
  /** Whether RELAY_PUBLIC_URL leads to this relay; null if the check is off. */
  address: AddressStatus | null
  /** The latest deliveries that started no workflow. Only alerts read them. */
  notStarted: readonly Listed[]
}

/** A problem with its cause. Times in `text` and `advice` have the form of {@link clockTime}. */
interface Found {
  side?: Side
  /** The owner, repository, or freeze that has the problem; empty if the problem concerns the whole relay. */
  key?: string
  text: string
  /** What follows from the problem, and what to do about it. */
  advice?: string | false
  since?: number
  /** A page of the dashboard that shows more, and its name. */
  link?: [path: string, name: string]
  /** If set, no other place shows the problem. */
  only?: keyof Kind['after']
}

export type ProblemType = keyof typeof PROBLEMS
export type Problem = Found & { type: ProblemType }

interface Kind {
  /** An outage, a problem that an operator must fix, or a wait that ends by itself. */
  severity: 'outage' | 'warning' | 'note'
  /** The section of docs/runbook.md, and the page of the dashboard. */
  section: string
  page: string
  /** For each place that shows the problem: how long the problem must last first, in milliseconds. `/readyz` shows the problem under its `side`. */
  after: { banner?: number; alert?: number; readyz?: 0 }
  find: (health: Health) => Found[] | Found | false | '' | null
}

const kind =
  (severity: Kind['severity']) =>
  (name: string, after: Kind['after'], find: Kind['find'], page = '/status'): Kind => ({
    ...{ severity, section: name === 'Health' ? name : `PortRelay${name}`, page, after, find },
  })
const [outage, warning, note] = [kind('outage'), kind('warning'), kind('note')]

const MINUTE_MS = 60_000
const DAY_MS = 1440 * MINUTE_MS
/** If nothing was dispatched from a queue for BACKLOG_MS, the banner shows the queue. After STALLED_MS, the relay sends an alert. */
export const BACKLOG_MS = MINUTE_MS
export const STALLED_MS = 5 * MINUTE_MS
/** If the oldest message is older than this, the banner shows the message. If Port has rejected it, the banner shows it after REJECTED_MS. */
export const MESSAGES_MS = 2 * MINUTE_MS
const REJECTED_MS = MINUTE_MS / 2
/** How long an alert lasts if its cause is a delivery that started no workflow. */
const NOT_STARTED_MS = 60 * MINUTE_MS
export const RUN_AGAIN = 'Afterwards, run the Port actions of refused webhooks again.'

const QUEUED = '/?state=queued'
const AT_ONCE = { banner: 0, alert: 0 }

/** Every problem that operators see, the worst first. The banner, the alerts, `/readyz`, `doctor`, and the runbook's test read this table. */
export const PROBLEMS = {
  database_unavailable: outage('DatabaseUnavailable', AT_ONCE, databaseUnavailable),
  outdated: warning('Health', { banner: 0 }, ({ outdated: text }) => text && { text }),
  credential_rejected: outage('CredentialRejected', { ...AT_ONCE, readyz: 0 }, health =>
    ofSides(health, 'credential_rejected'),
  ),
  unreachable: outage('Unreachable', { banner: 0, alert: 5 * MINUTE_MS, readyz: 0 }, health =>
    ofSides(health, 'unreachable'),
  ),
  public_url_unreachable: outage(
    'PublicUrlUnreachable',
    AT_ONCE,
    health => health.address?.kind === 'failed' && health.address,
  ),
  clock_off: outage(
    'ClockOff',
    { banner: 0, alert: 10 * MINUTE_MS, readyz: 0 },
    ({ clock: text }) => text && { side: 'github', text },
  ),
  token_expires: warning('TokenExpires', { banner: 0 }, tokenExpires),
  messages_wait: warning('MessagesWait', { banner: REJECTED_MS, alert: 15 * MINUTE_MS }, messagesWait),
  queue_stalled: warning('QueueStalled', { banner: BACKLOG_MS, alert: STALLED_MS }, queueStalled, QUEUED),
  queue_old: warning('QueueIsOld', { banner: BACKLOG_MS, alert: 15 * MINUTE_MS }, queueOld, QUEUED),
  no_runner: warning('NoRunner', AT_ONCE, noRunner, '/?state=running'),
  webhooks_refused: warning('WebhooksRefused', AT_ONCE, webhooksRefused, '/refused'),
  workflow_not_started: warning('NotStarted', { alert: 0 }, notStarted, '/?outcome=not_started'),
  freeze_old: warning('Frozen', { banner: DAY_MS, alert: DAY_MS }, all => frozen(all, true), '/freezes'),
  frozen: note('Frozen', { banner: 0 }, all => frozen(all, false), '/freezes'),
  paused: note('Paused', { banner: 0 }, paused),
}

/** Returns the row of a problem; undefined for an unknown type, because an alert of an earlier version can have another type. */
export const kindOf = (type: string): Kind | undefined => (PROBLEMS as Record<string, Kind>)[type]

export const textOf = ({ text, advice }: Pick<Found, 'text' | 'advice'>) => `${text} ${advice || ''}`.trim()

/** Lists the problems that have lasted long enough to be reported in `place`, the worst first. */
export function findProblems(health: Health, place: keyof Kind['after']): Problem[] {
  return (Object.keys(PROBLEMS) as ProblemType[]).flatMap(type => {
    const { find, after }: Kind = PROBLEMS[type]
    const patience = after[place]
    const isShown = ({ since = 0, only = place }: Found) => only === place && health.now - since >= patience!
    const found = patience === undefined ? [] : [find(health) || []].flat()
    return found.filter(isShown).map(each => ({ type, ...each }))
  })
}

const linkTo = (id: string): Found['link'] => [`/deliveries/${encodeURIComponent(id)}`, 'Delivery']

function databaseUnavailable({ database: text, ...health }: Health): Found | null {
  return text === null
    ? null
    : { text, advice: `Webhooks are refused with 503.${inQueue(health)} ${RUN_AGAIN}` }
}

function tokenExpires({ tokenExpiresAt: at, now }: Health): Found | null {
  if (at === null || at - now >= SOON_MS) return null
  const text = `GITHUB_TOKEN ${at > now ? `expires on ${clockTime(at)}` : 'has expired'}.`
  return { text, advice: `Set a new token. ${RESTART}` }
}

// If the database doesn't accept writes, the relay doesn't poll, so these runs may have a runner by now.
function noRunner({ database, waiting }: Health): Found[] {
  return describeWithoutRunner(database === null ? waiting : [])
}

function messagesWait(health: Health): Found | null {
  const { problems, oldestMessage: since, oldestOf, oldestReason, portPausedUntil, now } = health
  if (since === null || portPausedUntil > now || problems.some(({ side }) => side === 'port')) return null
  if (oldestReason === null && now - since < MESSAGES_MS) return null
  const text = `Messages to Port are delayed: the oldest message has waited since ${timeAndAge(since, now)}.`
  const advice =
    oldestReason === null
      ? "Port hasn't rejected it: Port responds slowly, or many messages are waiting."
      : `${oldestReason}.`
  return { text, advice, since, ...(oldestOf !== null && { link: linkTo(oldestOf) }) }
}

function queueStalled({ database, problems, stalled, now }: Health): Found[] {
  // If the database or GitHub is unavailable, nothing is dispatched, so stalled queues aren't a problem of their own.
  const isDown = problems.some(({ type, side }) => type === 'unreachable' && side === 'github')
  return (database === null && !isDown ? stalled : []).map(each => {
    const { id, runId, repository, reason, stalledSince: since } = each
    const delivery = `the delivery ${id}${runId === null ? '' : ` (run ${runId})`}`
    const cancel =
      "If other repositories aren't affected and this delivery isn't needed, cancel the delivery. The relay then dispatches the next delivery."
    return {
      ...{ key: repository, since, link: linkTo(id) },
      text: `Nothing was dispatched to ${repository} since ${timeAndAge(since, now)}, because ${delivery} waits: ${reason ?? OTHERS_FIRST}.`,
      advice: reason !== null && cancel,
    }
  })
}

function queueOld({ now, database, problems, queued, queuedSince: since, stalled, limits }: Health) {
  if (since === null || database !== null || problems.some(({ side }) => side === 'github')) return null
  const text = `Dispatches are delayed: the oldest of ${amount(queued)} in the queue has waited since ${timeAndAge(since, now)}.`
  const [[limit], [first]] = [limits, stalled]
  // The banner shows rate limits and stalled queues by themselves.
  if (limit) return { text, since, only: 'alert' as const, advice: describeLimit(limit) }
  const slow = `${OTHERS_FIRST}. If the queue grows, raise RELAY_DISPATCH_RATE, or see https://www.githubstatus.com.`
  if (!first) return { text, since, advice: slow }
  const { repository, reason } = first
  const advice = `The queue of ${repository} has waited the longest: ${reason ?? OTHERS_FIRST}.`
  return { text, since, only: 'alert' as const, advice }
}

function webhooksRefused({ refused, now }: Health): Found | null {
  if (refused.count === 0) return null
  const [text, advice] = describeRefused(refused, now)
  return {
    text,
    advice,
    link: ['/refused', 'Refused webhooks'],
    ...(refused.count <= 3 && { only: 'banner' }),
  }
}

function notStarted({ notStarted, now }: Health) {
  const recent = notStarted.filter(({ updatedAt }) => now - updatedAt < NOT_STARTED_MS)
  return [...Map.groupBy(recent, ({ repository }) => repository)].map(([key, all]) => {
    const [{ id, action, reason }] = all as [Listed]
    const last = `${reason ?? 'No reason is known.'} (${action ?? 'no action'}, delivery ${id})`
    return { key, text: `${amount(all.length)} to ${key} started no workflow. The last one: ${last}` }
  })
}

const describeLimit = (limit: RateLimitPause) => `${limit.reason}${ownerOf(limit) && ` (${ownerOf(limit)})`}.`

function paused({ limits, portPausedUntil: until, now, queued }: Health): Found[] {
  const ofGitHub = limits.map(limit => ({
    text: describeLimit(limit),
    advice: `The relay goes on by itself at ${clockTime(limit.pausedUntil)}. If this happens often, give it a token or an App of its own.${inQueue({ queued })}`,
  }))
  const ofPort = {
    text: 'Port is rate limiting the relay.',
    advice: `The relay goes on by itself at ${clockTime(until)}.`,
  }
  return until > now ? [...ofGitHub, ofPort] : ofGitHub
}

const timeAndAge = (time: number, now: number) => `${clockTime(time)} (${span(now - time)})`

const inQueue = ({ queued }: Pick<Health, 'queued'>) => (queued > 0 ? ` ${counted(queued)} queued.` : '')

function ofSides(health: Health, of: SideProblem['type']): Found[] {
  const { now, problems, oldestMessage: at } = health
  const messages = at === null ? '' : ` The oldest message has waited for ${span(now - at)}.`
  return problems.flatMap(({ type, advice, ...each }) => {
    const waiting = each.side === 'github' ? inQueue(health) : messages
    return type === of ? { ...each, advice: `${advice}${waiting}`.trim() } : []
  })
}

export const STARTED = { api: 'Started through the API', dashboard: 'Started on the dashboard' }

/** Returns what to do about a freeze that has no end and is older than a day; an empty text for other freezes. */
export const ifForgotten = ({ since, endsAt }: Pick<Freeze, 'since' | 'endsAt'>, now: number) =>
  endsAt === null && now - since > DAY_MS ? 'If the freeze was forgotten, end it.' : ''

function frozen({ freezes, now }: Health, isForgotten: boolean): Found[] {
  const found = freezes.filter(each => isForgotten === (ifForgotten(each, now) !== ''))
  return found.map(({ id, repositories, reason, since, endsAt, deliveries, startedBy }) => {
    const end = endsAt === null ? 'without an end' : `until ${clockTime(endsAt)}`
    const started = startedBy ? `${STARTED[startedBy]}. ` : ''
    return {
      ...{ key: String(id), since, link: ['/freezes', 'Freezes'] },
      text: `${repositories} has been frozen since ${timeAndAge(since, now)}, ${end}: ${reason}.`,
      advice: `${started}${amount(deliveries)} frozen. ${ifForgotten({ since, endsAt }, now)}`.trim(),
    }
  })
}
