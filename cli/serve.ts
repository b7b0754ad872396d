import { setFlagsFromString } from 'node:v8'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import { LIMITS } from '../relay/config/limits.ts'
import { createLog, forTerminal, joinLines } from '../relay/log.ts'
import { openStore } from '../relay/store/open.ts'
import { defineCommand } from './command.ts'

export const serve = defineCommand({
  name: 'serve',
  summary: 'Runs the relay until SIGTERM or SIGINT, with the configuration from the environment.',
  options: {},
  async run({ env }) {
    // Without this flag, V8 soon allocates objects of each request in the old generation. They keep other objects
    // alive, and copying those takes a sixth of the CPU time.
    setFlagsFromString('--no-allocation-site-pretenuring')
    const config = readConfig(env)
    // With `minLength`, `flush` waits until all lines are written.
    const maxLength = LIMITS.logWaiting
    const destination = pino.destination({ dest: 1, sync: false, minLength: 1, maxLength })
    const format = process.stdout.isTTY ? forTerminal : undefined
    const log = createLog(config.logLevel, joinLines(destination, format))
    // The database opens in its own thread while other modules load.
    const opening = openStore(config.database, { clientId: config.port.clientId })
    const [{ createRelay: openRelay }] = await Promise.all([import('../relay/relay.ts'), opening])
    const relay = await openRelay(config, log, opening)
    log.info({ address: relay.address, port: relay.port }, 'listening')
    // Makes the heap grow to 3× the memory in use instead of 4×. As a command-line option, the flag would slow down the start.
    setFlagsFromString('--heap-growing-percent=200')
    if (!config.port.clientId)
      log.warn("PORT_CLIENT_ID isn't set: the relay dispatches, but sends nothing to Port")
    if (config.targets.allowed.length === 0)
      log.warn('No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES')

    let stopping = false
    const stop = async (signal: string) => {
      if (stopping) return
      stopping = true
      log.info({ signal }, 'stopping')
      await relay.stop()
      log.info('stopped')
      log.flush(() => process.exit(0))
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal))
  },
})
