import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { createRelay } from '../../relay/relay.ts'
import { relayEnv } from '../support/relay.ts'

test('if the listen address is in use, startup fails with a clear message and releases the database', async () => {
  const first = await createRelay(
    readConfig(relayEnv({ HOST: '127.0.0.1', PORT: '0' })),
    pino({ level: 'silent' }),
  )
  onTestFinished(() => first.stop())
  const env = relayEnv({ HOST: '127.0.0.1', PORT: String(first.port) })
  await expect(createRelay(readConfig(env), pino({ level: 'silent' }))).rejects.toThrow(
    `The relay cannot listen on 127.0.0.1:${first.port} (EADDRINUSE): set HOST and PORT to a free address.`,
  )
  const again = await createRelay(readConfig({ ...env, PORT: '0' }), pino({ level: 'silent' }))
  await again.stop()
})
