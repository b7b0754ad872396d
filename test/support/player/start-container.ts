import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Process } from './find-processes.ts'
import { listProcesses } from './list-processes.ts'
import { type Mount, translatePath } from './translate-path.ts'

export type Container = {
  id: string
  network: string
  /** Of its first process, as seen from outside. */
  pid: number
  /** Its own environment, which every process in it has. */
  env: Record<string, string>
  /** A path of the machine as it is inside; one that is not mounted stays as it is. */
  translate(path: string): string
  /** The command that runs one inside, as `docker exec` does: its parent is nobody there. */
  exec(command: string, args: string[], cwd: string): { command: string; args: string[] }
  /** Ends it with everything in it, as `docker rm --force` does, and returns what that was. */
  stop(): Promise<Process[]>
}

/**
 * Starts a container out of Linux namespaces, where Docker is not at hand: mounts and processes are its own, the
 * network is the machine's, so that it reaches servers on 127.0.0.1. Throws where the machine does not allow that.
 *
 * @param root an empty place for its root folder
 */
export async function startContainer(
  root: string,
  mounts: Mount[],
  env: Record<string, string> = {},
): Promise<Container> {
  const rootless = process.getuid?.() !== 0
  await mkdir(root, { recursive: true })
  const script = join(import.meta.dirname, 'container.sh')
  // A folder before what lies in it.
  const ordered = mounts.toSorted((one, other) => (one.to < other.to ? -1 : 1))
  const given = ordered.flatMap(({ from, to, readOnly }) => [from, to, readOnly ? 'ro' : 'rw'])
  const spaces = ['--mount', '--pid', ...(rootless ? ['--user'] : [])]
  const create = {
    command: 'unshare',
    args: [...spaces, ...(rootless ? ['--map-root-user'] : []), '--fork', '--kill-child', 'sh', script, root],
  }
  const child = spawn(create.command, [...create.args, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: systemPath },
  })
  const ended = new Promise<void>(done => child.once('close', done).once('error', () => done()))
  const pid = await readPid(child)
  const kill = () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended in the meantime.
    }
  }
  process.once('exit', kill)
  return {
    id: randomBytes(32).toString('hex'),
    network: `github_network_${randomBytes(16).toString('hex')}`,
    pid,
    env: { PATH: systemPath, ...env },
    translate: path => translatePath(path, mounts),
    exec: (command, args, cwd) => ({
      command: 'nsenter',
      args: [
        ...['--target', String(pid), ...spaces, ...(rootless ? ['--preserve-credentials'] : [])],
        ...['setsid', 'env', `--chdir=${cwd}`, command, ...args],
      ],
    }),
    async stop() {
      const left = await listProcesses(pid)
      kill()
      await ended
      process.removeListener('exit', kill)
      return left
    },
  }
}

/** Of an image that sets none of its own. */
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The pid that the container prints once it is ready. */
async function readPid(child: ChildProcess): Promise<number> {
  const complaint = text(child.stderr!)
  const line = await new Promise<string>((done, fail) => {
    child.stdout!.once('data', (chunk: Buffer) => done(chunk.toString()))
    child.stdout!.once('end', () => done(''))
    child.once('error', fail)
  }).catch((error: Error) => error)
  if (typeof line === 'string' && line !== '') return Number(line)
  const reason = line instanceof Error ? line.message : (await complaint).trim().split('\n')[0]
  throw new Error(`This machine does not let the workflow player start a container: ${reason}`)
}
