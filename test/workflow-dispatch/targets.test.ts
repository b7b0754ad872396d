import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { openScene, REPOSITORY, type Scene, workflow } from './open-scene.ts'

const INPUTS = { service: 'web', replicas: 3, dry_run: false, tags: ['a'], note: null }
const DECLARED = { service: {}, replicas: {}, dry_run: {}, tags: {}, note: { default: 'none' }, port: {} }
const SENT = { service: 'web', replicas: '3', dry_run: 'false', tags: '["a"]' }

/** The first thing that Port shows of a run. */
const firstUpdate = ({ port }: Scene, id: string) =>
  port.requests.find(({ method, path }) => method === 'PATCH' && path === `/v1/actions/runs/${id}`)?.body

describe('a webhook that names a workflow starts it with its inputs by name, and its run is known at once:', () => {
  const ROUTES = `
- match: { action: deploy_* }
  repository: ${REPOSITORY}
  workflow: deploy.yml
  ref: release
`
  test.each<[string, { path?: string; body?: JsonObject; routes?: string }]>([
    ['the URL', { path: `/webhook/${REPOSITORY}?workflow=deploy.yml&ref=release` }],
    ['the body', { body: { github: { workflow: 'deploy.yml', ref: 'release' } } }],
    ['RELAY_ROUTES', { routes: ROUTES }],
  ])('by %s', async (_, { routes, ...webhook }) => {
    const scene = await openScene(routes ? { routes } : {})
    const { github } = scene
    github.addRepository(REPOSITORY, { refs: ['release'], workflows: [workflow(DECLARED)] })
    const { run, response: answer } = await scene.deliver({ ...webhook, inputs: INPUTS })
    expect(answer).toMatchObject({ repository: REPOSITORY, workflow: 'deploy.yml', ref: 'release' })

    const dispatch = await scene.dispatchOf(run)
    expect(dispatch).toMatchObject({ workflow: '.github/workflows/deploy.yml', ref: 'release' })
    const { port: payload, ...inputs } = dispatch.inputs
    expect(inputs).toEqual(SENT)
    expect(dispatch.allInputs.note).toBe('none')
    expect(JSON.parse(payload as string)).toMatchObject({
      run_id: run.id,
      action: 'deploy_service',
      port: { version: 1, delivery: answer.delivery, inputs: INPUTS },
    })

    const link = [scene.page(dispatch.runId)]
    await until(() => run.logs.length > 0, 'Port is updated')
    expect(firstUpdate(scene, run.id)).toEqual({ statusLabel: 'Waiting for GitHub', link })
    expect(run.logs.map(({ message }) => message)).toEqual([
      `Dispatched workflow deploy.yml to acme/shop on release (delivery ${answer.delivery}); waiting for its workflow to start.`,
    ])
    const shown = await scene.shown(run.id)
    expect(shown).toMatchObject({ state: 'running', github_run_id: dispatch.runId, evidence: 'response' })
    expect(shown.events.map(({ type, details }) => [type, details])).toEqual([
      ['accepted', {}],
      [
        'dispatchAccepted',
        {
          ...{
            attempt: 1,
            status: 200,
            duration_ms: expect.any(Number),
            github_request_id: expect.any(String),
          },
          ...{ github_run_id: dispatch.runId, evidence: 'response' },
        },
      ],
    ])
    expect(run.link).toEqual(link)
  })
})
