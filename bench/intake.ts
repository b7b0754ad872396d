import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Figures, Generator } from './load/load.ts'
import { signWebhooks, type Webhooks } from './load/webhooks.ts'
import { forgetPeak, memory, startServer } from './processes.ts'
import { CLONE, IMAGE, NPX, relayEnvironment } from './relay-environment.ts'
import { type Spread, spread } from './statistics.ts'

const ROUNDS = 3
const WARM_UP_S = 6
/** The first case is measured longer, because only this case has goals. */
const MAIN_S = 3
const CASE_S = 1
/** More webhooks than any server handles in a second. Each webhook is sent once. */
const MOST_PER_SECOND = 100_000

interface Case {
  connections: number
  /** Size of the body in bytes. */
  size: number
}

const KB = 1024
const MAIN: Case = { connections: 64, size: 1.4 * KB }
const CASES: readonly Case[] = [
  MAIN,
  ...[1, 16, 256].map(connections => ({ connections, size: MAIN.size })),
  ...[16 * KB, 256 * KB].map(size => ({ connections: MAIN.connections, size })),
]

interface ServerKind {
  label: string
  file: string
  /** Node options. */
  flags?: readonly string[]
  env?: Record<string, string>
  database?: 'sqlite' | 'postgres'
  isRelay?: boolean
  /** Whether to measure other numbers of connections and other body sizes as well. */
  everyCase?: boolean
  goal?: string
}

/** The servers, in the order of measurement within a round. */
const SERVERS = {
  hono: { label: 'bare Hono', file: 'bench/servers/hono.ts', everyCase: true },
  groupCommit: { label: 'group commit, SQLite', file: 'bench/servers/group-commit.ts', database: 'sqlite' },
  sqlite: {
    label: 'relay, SQLite',
    ...CLONE,
    isRelay: true,
    database: 'sqlite',
    everyCase: true,
    goal: '≥ 0.75 of group commit, CPU ≤ 1.7×, p99 ≤ 1×, peak ≤ 165 MB',
  },
  npx: { label: 'relay, SQLite, npx', ...NPX, isRelay: true, database: 'sqlite', goal: 'peak ≤ 200 MB' },
  image: {
    label: 'relay, SQLite, image',
    ...IMAGE,
    isRelay: true,
    database: 'sqlite',
    goal: 'peak ≤ 200 MB',
  },
  postgres: {
    label: 'relay, PostgreSQL',
    ...CLONE,
    isRelay: true,
    database: 'postgres',
    everyCase: true,
    goal: '≥ 4 × pg-boss',
  },
  pgBoss: { label: 'pg-boss send', file: 'bench/servers/pg-boss.ts', database: 'postgres' },
} as const satisfies Record<string, ServerKind>

type ServerName = keyof typeof SERVERS
const NAMES = Object.keys(SERVERS) as ServerName[]

interface IntakeRow extends Case {
  label: string
  perSecond: Spread
  /** The rate divided by another server's rate in the same round; null if that server wasn't measured in this case. */
  of: Record<'hono' | 'groupCommit' | 'pgBoss', Spread | null>
  /** The server's CPU time per request, in microseconds. */
  cpuUs: Spread
  cpuOfGroupCommit: Spread | null
  writtenKb: Spread
  p50: Spread
  p99: Spread
  p99OfGroupCommit: Spread | null
  generatorCores: Spread
  goal: string
}

export interface Intake {
  rows: IntakeRow[]
  /** Resident memory in MB, before any load and at the main case's peak. */
  memory: { label: string; idle: Spread; peak: Spread }[]
}

type Round = Record<ServerName, { figures: (Figures | null)[]; idle: number; peak: number }>

/** Restarts and measures every server in each round, so that changes in the machine's load affect all servers. */
export async function intake(generator: Generator, createDatabase: () => Promise<string>): Promise<Intake> {
  const rounds: Round[] = []
  for (let i = 0; i < ROUNDS; i++) {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
    const signed = CASES.map(sign)
    const round: Partial<Round> = {}
    for (const name of NAMES) {
      const kind: ServerKind = SERVERS[name]
      const database = kind.database === 'postgres' ? await createDatabase() : join(folder.path, `${name}.db`)
      const env = kind.isRelay
        ? relayEnvironment(kind.database === 'postgres' ? database : `sqlite:${database}`)
        : { BENCH_DATABASE: database }
      round[name] = await measure(generator, signed, kind, { ...env, ...kind.env })
    }
    rounds.push(round as Round)
  }
  const rows = CASES.flatMap((each, c) =>
    NAMES.filter(name => rounds[0]?.[name].figures[c]).map(name => toRow(rounds, each, c, name)),
  )
  return {
    rows,
    memory: NAMES.map(name => ({
      label: SERVERS[name].label,
      idle: spread(rounds.map(round => round[name].idle)),
      peak: spread(rounds.map(round => round[name].peak)),
    })),
  }
}

const secondsOf = (each: Case) =>
  each === MAIN ? { warmUp: WARM_UP_S, measured: MAIN_S } : { warmUp: 0, measured: CASE_S }

/** Signs enough webhooks for any server. All servers get the same webhooks, because signing large webhooks is slow. */
function sign(each: Case): Webhooks {
  const { warmUp, measured } = secondsOf(each)
  const most = Math.min(MOST_PER_SECOND, (1024 * KB * KB) / each.size)
  return signWebhooks(Math.ceil(most * (warmUp + measured)) + 1000, each.size)
}

async function measure(
  generator: Generator,
  signed: Webhooks[],
  { file, flags = [], everyCase }: ServerKind,
  env: Record<string, string>,
) {
  await using server = await startServer(file, env, flags)
  const idle = memory(server).now
  const figures: (Figures | null)[] = []
  let peak = Number.NaN
  for (const [i, each] of CASES.entries()) {
    const webhooks = { ...(signed[i] as Webhooks) }
    const { warmUp, measured } = secondsOf(each)
    if (each !== MAIN && !everyCase) {
      figures.push(null)
      continue
    }
    if (warmUp > 0) await generator.run(server, webhooks, each.connections, warmUp)
    if (each === MAIN) forgetPeak(server)
    figures.push(await generator.run(server, webhooks, each.connections, measured))
    if (each === MAIN) peak = memory(server).peak
  }
  return { figures, idle, peak }
}

function toRow(rounds: Round[], { connections, size }: Case, c: number, name: ServerName): IntakeRow {
  const figuresOf = (round: Round, server: ServerName) => round[server].figures[c] ?? null
  const own = (key: keyof Figures) => spread(rounds.map(round => figuresOf(round, name)?.[key] ?? Number.NaN))
  const relative = (key: keyof Figures, baseline: ServerName) =>
    rounds.every(round => figuresOf(round, baseline))
      ? spread(
          rounds.map(
            round => (figuresOf(round, name)?.[key] ?? Number.NaN) / (figuresOf(round, baseline)?.[key] ?? 0),
          ),
        )
      : null
  const kind: ServerKind = SERVERS[name]
  return {
    label: kind.label,
    ...{ connections, size },
    perSecond: own('perSecond'),
    of: {
      hono: relative('perSecond', 'hono'),
      groupCommit: relative('perSecond', 'groupCommit'),
      pgBoss: relative('perSecond', 'pgBoss'),
    },
    cpuUs: own('cpuUs'),
    cpuOfGroupCommit: relative('cpuUs', 'groupCommit'),
    writtenKb: own('writtenKb'),
    p50: own('p50'),
    p99: own('p99'),
    p99OfGroupCommit: relative('p99', 'groupCommit'),
    generatorCores: own('generatorCores'),
    goal: c === 0 ? (kind.goal ?? '') : '',
  }
}
