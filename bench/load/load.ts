import { spawn, spawnSync } from 'node:child_process'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesWritten, cpuTime, type Server } from '../processes.ts'
import { type Webhooks, writeFiles } from './webhooks.ts'

/** The result of one load generator run. */
export interface Figures {
  perSecond: number
  /** CPU time of all server threads per request, in microseconds. */
  cpuUs: number
  /** What the server wrote to the disk per request, in KB. PostgreSQL's own processes aren't included. */
  writtenKb: number
  /** Response times, in milliseconds. */
  p50: number
  p99: number
  /** The CPU cores that the generator used. A value close to 1 means that the generator limits the rate. */
  generatorCores: number
}

export interface Generator {
  name: string
  /** Sends unsent webhooks for a period, over this many connections. */
  run(server: Server, webhooks: Webhooks, connections: number, seconds: number): Promise<Figures>
}

interface Result {
  requests: number
  durationMs: number
  p50: number
  p99: number
  /** Number of responses other than 2xx. */
  refused: number
  /** Number of requests without a response. */
  failed: number
  generatorCpuUs: number
}

/** Chooses `wrk` if it is installed, otherwise a Node generator, which uses three times as much CPU. */
export function chooseGenerator(): Generator {
  const version = spawnSync('wrk', ['-v'], { encoding: 'utf8' }).stdout ?? ''
  const isThere = version.startsWith('wrk')
  const send = isThere ? sendWithWrk : sendWithNode
  return {
    name: isThere ? (version.match(/^wrk \S+/)?.[0] ?? 'wrk') : "Node (wrk isn't installed)",
    async run(server, webhooks, connections, seconds) {
      const { pid } = server.child
      const before = [cpuTime(pid), bytesWritten(pid)] as const
      const result = await send(server.url, webhooks, connections, seconds)
      const [used, written] = [cpuTime(pid) - before[0], bytesWritten(pid) - before[1]]
      const { requests, durationMs, p50, p99, refused, failed, generatorCpuUs } = result
      // Requests without a response at the time limit don't count as failed.
      if (refused > 0 || failed > 0)
        throw new Error(`${refused} of ${requests} webhooks were refused, ${failed} got no response`)
      webhooks.next += requests + connections
      return {
        perSecond: (requests * 1000) / durationMs,
        cpuUs: used / requests,
        writtenKb: written / requests / 1024,
        ...{ p50, p99 },
        generatorCores: generatorCpuUs / 1000 / durationMs,
      }
    },
  }
}

type Send = (url: string, webhooks: Webhooks, connections: number, seconds: number) => Promise<Result>

const sendWithWrk: Send = async (url, webhooks, connections, seconds) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const script = join(import.meta.dirname, 'wrk.lua')
  const files = writeFiles(webhooks, folder.path)
  return await run('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url, '--', ...files])
}

const sendWithNode: Send = async (url, webhooks, connections, seconds) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const script = join(import.meta.dirname, 'sender.ts')
  const files = writeFiles(webhooks, folder.path)
  return await run(process.execPath, [script, url, String(connections), String(seconds), ...files])
}

/** Runs a generator as a separate process, which prints its result on a line that starts with `RESULT`. */
async function run(command: string, args: string[]): Promise<Result> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', chunk => {
    printed += chunk
  })
  // Reads the CPU time repeatedly, because the system discards it when the process exits.
  let generatorCpuUs = 0
  const watch = setInterval(() => {
    const used = cpuTime(child.pid)
    if (used > generatorCpuUs) generatorCpuUs = used
  }, 50)
  const code = await new Promise(resolve => child.once('close', resolve))
  clearInterval(watch)
  const line = printed.split('\n').find(each => each.startsWith('RESULT '))
  if (code !== 0 || !line) throw new Error(`${command} failed (${code}): ${printed}`)
  return { ...JSON.parse(line.slice('RESULT '.length)), generatorCpuUs }
}
