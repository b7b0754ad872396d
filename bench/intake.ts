import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Figures, Generator } from './load/load.ts'
import { signWebhooks, type Webhooks } from './load/webhooks.ts'
import { forgetPeak, memory, startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'
import { type Spread, spread } from './statistics.ts'

const ROUNDS = 3
const WARM_UP_S = 2
/** The case that the goals are of is measured longer, first of all. */
const MAIN_S = 3
const CASE_S = 1
/** More than any server answers in a second; each webhook is sent once. */
const MOST_PER_SECOND = 100_000

interface Case {
  connections: number
  /** Of the body, bytes. */
  size: number
}

const KB = 1024
const MAIN: Case = { connections: 64, size: 1.4 * KB }
const CASES: readonly Case[] = [
  MAIN,
  ...[1, 16, 256].map(connections => ({ connections, size: MAIN.size })),
  ...[16 * KB, 256 * KB].map(size => ({ connections: MAIN.connections, size })),
]

export type ServerName = 'hono' | 'verify' | 'sqlite' | 'postgres'

export interface IntakeRow extends Case {
  server: ServerName
  perSecond: Spread
  /** Of bare Hono in the same round. */
  ratio: Spread
  /** CPU time of the server a request, microseconds. */
  cpuUs: Spread
  cpuRatio: Spread
  p50: Spread
  p99: Spread
  generatorCores: Spread
}

/** Resident memory of the servers in MB: before any load, and at the peak of the main case. */
export type IntakeMemory = Record<ServerName, { idle: Spread; peak: Spread }>

/**
 * The rates of bare Hono, of verification alone, and of the relay with its durable write. Each round starts each
 * server anew, in turn, so that all of them meet the same machine.
 */
export async function intake(
  generator: Generator,
  createDatabase: () => Promise<string>,
): Promise<{ rows: IntakeRow[]; memory: IntakeMemory }> {
  const rounds: { server: ServerName; figures: Figures[]; idle: number; peak: number }[][] = []
  for (let i = 0; i < ROUNDS; i++) {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
    const signed = CASES.map(sign)
    const relay = 'relay/dist/main.js'
    const sqlite = relayEnvironment(`sqlite:${join(folder.path, 'relay.db')}`)
    const postgres = relayEnvironment(await createDatabase())
    rounds.push([
      await measure(generator, signed, 'hono', 'bench/servers/echo.ts'),
      await measure(generator, signed, 'verify', 'bench/servers/verify.ts'),
      await measure(generator, signed, 'sqlite', relay, sqlite),
      await measure(generator, signed, 'postgres', relay, postgres),
    ])
  }
  const servers = ['hono', 'verify', 'sqlite', 'postgres'] as const
  return {
    rows: CASES.flatMap((each, c) => servers.map((_, s) => toRow(rounds, each, c, s))),
    memory: Object.fromEntries(
      servers.map((name, s) => [
        name,
        { idle: spread(rounds.map(r => r[s]!.idle)), peak: spread(rounds.map(r => r[s]!.peak)) },
      ]),
    ) as IntakeMemory,
  }
}

const secondsOf = (each: Case) =>
  each === MAIN ? { warmUp: WARM_UP_S, measured: MAIN_S } : { warmUp: 0, measured: CASE_S }

/** Enough webhooks for one server; each server gets the same. Large ones take as long to sign as to verify. */
function sign(each: Case): Webhooks {
  const { warmUp, measured } = secondsOf(each)
  const most = Math.min(MOST_PER_SECOND, (1024 * KB * KB) / each.size)
  return signWebhooks(Math.ceil(most * (warmUp + measured)) + 1000, each.size)
}

async function measure(
  generator: Generator,
  signed: Webhooks[],
  name: ServerName,
  file: string,
  env: Record<string, string> = {},
) {
  await using server = await startServer(file, env)
  const idle = memory(server).now
  const figures: Figures[] = []
  let peak = Number.NaN
  for (const [i, each] of CASES.entries()) {
    const webhooks = { ...(signed[i] as Webhooks) }
    const { warmUp, measured } = secondsOf(each)
    if (warmUp > 0) await generator.run(server, webhooks, each.connections, warmUp)
    if (each === MAIN) forgetPeak(server)
    figures.push(await generator.run(server, webhooks, each.connections, measured))
    if (each === MAIN) peak = memory(server).peak
  }
  return { server: name, figures, idle, peak }
}

function toRow(
  rounds: { server: ServerName; figures: Figures[] }[][],
  { connections, size }: Case,
  c: number,
  s: number,
): IntakeRow {
  const of = (read: (mine: Figures, hono: Figures) => number) =>
    spread(rounds.map(round => read(round[s]!.figures[c]!, round[0]!.figures[c]!)))
  return {
    server: rounds[0]![s]!.server,
    ...{ connections, size },
    perSecond: of(mine => mine.perSecond),
    ratio: of((mine, hono) => mine.perSecond / hono.perSecond),
    cpuUs: of(mine => mine.cpuUs),
    cpuRatio: of((mine, hono) => mine.cpuUs / hono.cpuUs),
    p50: of(mine => mine.p50),
    p99: of(mine => mine.p99),
    generatorCores: of(mine => mine.generatorCores),
  }
}
