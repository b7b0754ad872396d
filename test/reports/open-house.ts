import { expect } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import type { PlayedRun, PlayOptions } from '../../tools/simulator/runner/types.ts'
import { playWorkflow } from '../../tools/simulator/runner/workflow.ts'
import { encryptFor, encryptWith } from '../action/encrypt.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { startRelay } from '../support/relay.ts'
import { CLEAR, filesOf, findClear, printedBy, rowsOf, shownOf } from './clear-texts.ts'
import { REPOSITORY, startSystem } from './open-stage.ts'

const { privateKeyPem, publicKeyPem } = vectors['client-side']
const ADMIN_TOKEN = 'an-admin-token-of-some-length'

export type House = Awaited<ReturnType<typeof openHouse>>

/** A relay in a process of its own, saying all it can, and every place in which no clear text may stand. */
export async function openHouse(database: Record<string, string>) {
  const system = await startSystem(
    { LOG_LEVEL: 'trace', RELAY_ADMIN_TOKEN: ADMIN_TOKEN, ...database },
    startRelay,
  )
  const address = system.env.RELAY_DATABASE!
  const places: Record<string, string> = {}
  const add = (place: string, text: string) => (places[place] = `${places[place] ?? ''}${text}\n`)
  let printed = ''
  let runs = 16_000_000_100

  async function deliver(more: JsonObject = {}) {
    const inputs: JsonObject = { version: '1.4.2' }
    for (const [name, text] of Object.entries(CLEAR))
      inputs[name] =
        name === 'own' ? encryptFor(publicKeyPem, text) : encryptWith(system.port.clientSecret, text)
    const action = {
      identifier: 'deploy_service',
      blueprint: 'service',
      encryptedProperties: Object.keys(CLEAR),
    }
    const delivered = await system.deliver({ body: { inputs: { ...inputs, ...more }, action } })
    expect(delivered.payload.port.truncated).toEqual(['inputs.large'])
    return { ...delivered, portRun: delivered.portRun!, inputs: { ...inputs, ...more } }
  }
  async function simulate(
    { dispatch }: Awaited<ReturnType<typeof deliver>>,
    yaml: string,
    more: Partial<PlayOptions> = {},
  ) {
    const runId = ++runs
    const payload = { event_type: dispatch.eventType, client_payload: dispatch.clientPayload }
    const simulated: PlayedRun = await playWorkflow({
      yaml,
      event: { name: 'repository_dispatch', payload },
      repository: REPOSITORY,
      repositoryId: system.repositoryId,
      github: system.github,
      runId,
      secrets: { KEY: privateKeyPem },
      oidc: system.issuer.runner(system.run({ runId })),
      ...more,
    })
    add('what GitHub shows', shownOf(simulated))
    printed += printedBy(simulated)
    return {
      played: simulated,
      steps: Object.fromEntries(simulated.jobs[0]!.steps.map(step => [step.name, step])),
    }
  }
  async function api(path: string, method = 'GET') {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const response = await fetch(`${system.url}/api/deliveries${path}`, { method, headers })
    const text = await response.text()
    add('what the admin API answers', text)
    return { status: response.status, body: JSON.parse(text) }
  }
  async function poll() {
    for (const [place, text] of Object.entries(await rowsOf(address))) add(place, text)
    for (const [place, text] of Object.entries(filesOf(address))) add(place, text)
  }
  /** Names each clear text that stands where it must not, once the search has shown that it finds them. */
  async function search() {
    await poll()
    await system.relay.stop()
    add('what the relay printed', system.relay.printed())
    const sent = system.port.requests.filter(({ path }) => !path.startsWith('/v1/auth'))
    add('what Port got', JSON.stringify(sent.map(({ path, body }) => [path, body])))
    add('what GitHub got', JSON.stringify(system.github.requests.map(({ path, body }) => [path, body])))
    expect(findClear({ printed })).toEqual(
      [...Object.keys(CLEAR), 'a piece'].map(name => `${name} in printed`),
    )
    return findClear(places)
  }
  return { stage: system, places, deliver, play: simulate, api, look: poll, search }
}
