import type { JsonObject } from '../../port/types.ts'
import type { PlayedRun } from '../../test/support/player/types.ts'
import type { PortApi } from '../../test/support/port-api.ts'

/** Prints what the workflow did, as GitHub would show it. */
export function showPlayed({ jobs, conclusion }: PlayedRun, print: (line: string) => void): void {
  for (const job of jobs) {
    print(`Job ${job.name}: ${job.conclusion}`)
    for (const step of job.steps) {
      if (step.kind === 'setup' || step.kind === 'complete') continue
      print(`  ${MARK[step.conclusion ?? ''] ?? '✗'} ${step.name}`)
      const annotations = step.annotations.map(({ level, message }) => `##[${level}]${message}`)
      const text = step.kind === 'post' ? annotations.join('\n') : step.log
      for (const line of withoutRunner(text)
        .split('\n')
        .filter(each => each.trim() !== ''))
        print(`      ${line}`)
    }
  }
  print(`Workflow run: ${conclusion}`)
}

const MARK: Record<string, string> = { success: '✓', skipped: '–' }

/** Without the runner's own lines: the header of the step, and masks. */
function withoutRunner(log: string): string {
  return log
    .replace(/##\[group\][\s\S]*?##\[endgroup\]\n?/g, '')
    .replace(/^::add-mask::.*\n?/gm, '')
    .replace(/^##\[(error|warning|notice)\]/gm, '$1: ')
}

/** Prints what Port would show of the run. */
export function showPort(
  port: PortApi,
  { run_id: id, port: about }: JsonObject,
  print: (line: string) => void,
): void {
  if (typeof id !== 'string') return
  const updated = port.requests.some(({ method, path }) => method !== 'GET' && path.includes(id))
  if ((about as JsonObject).kind === 'node_run') {
    const run = port.nodeRun(id)
    print(`\nPort shows node run ${id}${updated ? '' : ', which received no updates'}`)
    print(`  status   ${[run.status, run.result].filter(Boolean).join(', ')}`)
    print(`  link     ${run.links.join(', ') || 'none'}`)
    print(titled('log', run.logs.map(log => log.message).join('\n')))
    print(titled('output', JSON.stringify(run.output, null, 2)))
  } else {
    const run = port.run(id)
    print(`\nPort shows run ${id}${updated ? '' : ', which received no updates'}`)
    print(`  status   ${run.status}${run.statusLabel ? `, "${run.statusLabel}"` : ''}`)
    print(`  link     ${[run.link ?? 'none'].flat().join(', ')}`)
    print(titled('log', run.logs.map(log => log.message).join('\n')))
    print(titled('summary', run.summary ?? ''))
  }
  for (const { blueprint, identifier, properties } of port.entities)
    print(`  entity   ${blueprint}/${identifier} ${JSON.stringify(properties)}`)
}

const titled = (title: string, text: string) =>
  (text || 'none')
    .split('\n')
    .map((line, index) => `  ${(index === 0 ? title : '').padEnd(8)} ${line}`.trimEnd())
    .join('\n')
