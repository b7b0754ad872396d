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
    `The relay can't listen on 127.0.0.1:${first.port} (EADDRINUSE): set HOST and PORT to a free address.`,
  )
  const again = await createRelay(readConfig({ ...env, PORT: '0' }), pino({ level: 'silent' }))
  await again.stop()
})

test('a database belongs to the first Port organization: a relay with another client ID, or later without one, refuses to start', async () => {
  const refused = 'belongs to the Port organization with the client ID first, but PORT_CLIENT_ID is'
  const starts: [PORT_CLIENT_ID: string, refusal?: string][] = [
    ...[[''] as [string], ['first'] as [string]],
    ...[
      ['second', `${refused} second: correct`] as [string, string],
      ['', `${refused} not set: c`] as [string, string],
    ],
    ['first'],
  ]
  const env = relayEnv({ HOST: '127.0.0.1', PORT: '0', PORT_API_URL: 'http://127.0.0.1:9' })
  for (const [PORT_CLIENT_ID, refusal] of starts) {
    const starting = createRelay(readConfig({ ...env, PORT_CLIENT_ID }), pino({ level: 'silent' }))
    if (refusal) await expect(starting, PORT_CLIENT_ID).rejects.toThrow(refusal)
    else await (await starting).stop()
  }
})
