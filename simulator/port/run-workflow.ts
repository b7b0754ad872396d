import type { JsonObject } from '../../port/types.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import type { PortApi } from './port.ts'
import { type PortEntity, type PortNodeRun, randomId } from './state.ts'

interface Node {
  identifier: string
  title?: string
  config: JsonObject & { type: string }
}

/** The fields of a Port workflow's definition that the fake Port reads. */
export interface PortWorkflow {
  identifier: string
  title: string
  nodes: Node[]
  connections: { sourceIdentifier: string; targetIdentifier: string }[]
}

/**
 * Runs a Port workflow as Port does after a user has submitted its form: each node after the other, until one fails.
 * Later nodes read the outputs of earlier nodes.
 * @param runWebhook sends the webhook of a node, and resolves when the node run is completed
 */
export async function runPortWorkflow(
  port: PortApi,
  { nodes, connections }: PortWorkflow,
  inputs: JsonObject,
  runWebhook: (node: Node, run: PortNodeRun, context: JsonObject) => Promise<void>,
): Promise<void> {
  const by = { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' }
  const workflowRun = {
    identifier: `wfr_${randomId()}`,
    createdAt: new Date().toISOString(),
    trigger: { by },
  }
  const outputs: JsonObject = { trigger: inputs }
  const after = (source: string) => {
    const found = connections.find(({ sourceIdentifier }) => sourceIdentifier === source)
    return nodes.find(({ identifier }) => identifier === found?.targetIdentifier)
  }
  for (let node = after('trigger'); node; node = after(node.identifier)) {
    const run = port.createNodeRun({ workflowRunId: workflowRun.identifier })
    const context = { workflowRun, workflowNodeRun: { identifier: run.id }, outputs }
    const { type } = node.config
    if (type === 'WEBHOOK') await runWebhook(node, run, context)
    else if (type !== 'UPSERT_ENTITY') throw new Error(`The fake Port can't run a node of the type ${type}.`)
    else {
      port.entities.push({ ...entityOf(node.config, context), runId: workflowRun.identifier })
      Object.assign(run, { status: 'COMPLETED', result: 'SUCCESS' })
    }
    if (run.result !== 'SUCCESS') return
    outputs[node.identifier] = run.output as JsonObject
  }
}

function entityOf({ blueprintIdentifier, mapping }: JsonObject, context: JsonObject): PortEntity {
  const now = new Date().toISOString()
  const rendered = renderBody(mapping!, context) as unknown as Pick<PortEntity, 'identifier' | 'properties'>
  return {
    ...{ blueprint: String(blueprintIdentifier), relations: {}, createdAt: now, updatedAt: now },
    ...rendered,
  }
}
