import { globSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { RECOMMENDED_BODY } from '../cli/generate/invocation-method.ts'
import { readInvocation } from '../port/invocation/invocation.ts'
import { isObject, type JsonObject } from '../port/types.ts'
import { renderBody } from '../workflow-files/render-body.ts'
import { blocks, pages, root, text } from './docs/pages.ts'
import { entity } from './render-example.ts'
import { definitionProblems } from './support/definition-problems.ts'

/** Definitions from pages and examples that users paste into Port. */
const definitions = [
  ...globSync('examples/**/{port-action*,automation}.json', { cwd: root }).map(
    file => [file, text(file)] as const,
  ),
  ...pages.flatMap(page =>
    blocks(page)
      .filter(({ language, content }) => language === 'json' && /"invocationMethod"|"nodes"/.test(content))
      .map(({ content }) => [page, content] as const),
  ),
]

test.each(definitions)("%s contains a definition that matches Port's published schema", (_, content) => {
  const definition = JSON.parse(content)
  const of = 'nodes' in definition ? 'workflows' : 'actions'
  expect(definitionProblems(of, definition)).toEqual([])
  if (of === 'workflows') return
  // To show that the schema works, it must reject a definition that Port rejects.
  const { invocationMethod } = definition
  const asText = { ...definition, invocationMethod: { ...invocationMethod, body: '{{ . }}' } }
  expect(definitionProblems('actions', asText)).toContain('/invocationMethod/body must be object')
})

describe('the recommended body', () => {
  const user = {
    ...{ email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' },
    ...{ phoneNumber: '0909', picture: 'https://acme.example/ada.png', id: 'auth0|1' },
  }
  const by = { orgId: 'org_1', userId: 'auth0|1', user }
  const at = '2026-11-01T10:00:00.000Z'
  /** The values that Port documents for expressions in an action. */
  const context = (operation: string, given: JsonObject = {}): JsonObject => ({
    inputs: { version: '1.4.2', replicas: 2, tags: ['a'], config: { a: null } },
    trigger: { by, origin: 'UI', at, operation },
    event: null,
    entity: operation === 'CREATE' ? {} : entity,
    action: { identifier: 'deploy', blueprint: 'service', encryptedProperties: [] },
    run: { id: 'r_Q0YotCZMKxDLdlaU' },
    ...given,
  })
  const diff = { before: entity, after: { ...entity, title: 'Store' } }
  const contexts = {
    CREATE: context('CREATE'),
    'DAY-2': context('DAY-2'),
    'encrypted inputs': context('CREATE', {
      inputs: { token: 'aGVsbG8=' },
      action: { identifier: 'deploy', blueprint: 'service', encryptedProperties: ['token'] },
    }),
    automation: {
      inputs: null,
      trigger: { by, origin: 'AUTOMATION', at },
      event: {
        ...{ action: 'UPDATE', resourceType: 'entity', diff },
        ...{ context: { blueprintIdentifier: 'service' }, trigger: { by: { orgId: 'org_1' }, origin: 'UI' } },
      },
      entity: null,
      action: { identifier: 'on_change' },
      run: { id: 'r_k86OUzq80jRlxFV0' },
    },
  }

  test.each(Object.entries(contexts))('yields the same invocation as the full context (%s)', (_, whole) => {
    const body = renderBody(RECOMMENDED_BODY, whole) as JsonObject
    const invocation = readInvocation(whole)
    expect(readInvocation(body)).toEqual(invocation)
    expect(invocation).toMatchObject({
      ...{ kind: 'action_run', runIdFrom: 'body', inputs: whole.inputs ?? {} },
      action: (whole.action as JsonObject).identifier,
      operation: (whole.trigger as JsonObject).operation ?? null,
      event: whole.event,
      entity: isObject(whole.entity) && 'identifier' in whole.entity ? whole.entity : null,
      encrypted: (whole.action as JsonObject).encryptedProperties ?? [],
      trigger: { by: { email: user.email, name: 'Ada Lovelace' }, at },
    })
    expect(JSON.stringify(body)).not.toMatch(/0909|ada\.png|auth0/)
    // Port's agent adds the run id and the invocation method.
    const payload = { action: { invocationMethod: { type: 'WEBHOOK' } } }
    const throughAgent = { ...body, payload, context: { runId: (whole.run as JsonObject).id } }
    expect(readInvocation(throughAgent)).toEqual(invocation)
  })

  test('is the body in docs/routing.md and in the examples', () => {
    const shown = blocks('docs/routing.md').filter(({ language }) => language === 'json')
    expect(shown.map(({ content }) => JSON.parse(content))).toContainEqual(RECOMMENDED_BODY)
    const bodyOf = (name: string) =>
      JSON.parse(text(`examples/${name}/port-action.json`)).invocationMethod.body
    for (const name of ['restart', 'scaffold', 'existing-workflow'])
      expect(bodyOf(name)).toEqual(RECOMMENDED_BODY)
    const inputs = { version: '{{ .inputs.version }}', environment: '{{ .inputs.environment.identifier }}' }
    expect(bodyOf('report-deployment')).toEqual({ ...RECOMMENDED_BODY, inputs })
  })
})
