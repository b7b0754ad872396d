import { stringify } from 'yaml'
import type { ShownRun, Simulation } from './simulation.ts'

/** Prints one line. */
type Print = (line: string) => void
const MARK: Record<string, string> = { success: '✓', skipped: '–' }

/** Prints the workflow's result, Port's view, and how the relay would finish a run that the action didn't finish. */
export function showSimulation({ jobs, conclusion, port, relay }: Simulation, print: Print): void {
  print('')
  for (const job of jobs) {
    print(`Job ${job.name}: ${job.conclusion}`)
    for (const step of job.steps) {
      print(`  ${MARK[step.conclusion ?? ''] ?? '✗'} ${step.name}`)
      for (const line of step.log) print(`      ${line}`)
    }
  }
  print(`Workflow run: ${conclusion}`)
  if (port) showRun(port, print)
  if (relay) {
    print('')
    print("The relay finishes the run, because the action didn't")
    print(`  status   ${relay.status}, "${relay.label}"`)
    print(`  log      ${relay.sentence}`)
  }
}

function showRun(run: ShownRun, print: Print): void {
  const isNode = run.kind === 'node_run'
  const show = (title: string, lines: string[]) => {
    for (const line of titled(title, lines)) print(line)
  }
  print('')
  print(
    `Port shows ${isNode ? 'node run' : 'run'} ${run.id}${run.isUpdated ? '' : ', which received no updates'}`,
  )
  const label = run.statusLabel ? `"${run.statusLabel}"` : ''
  print(`  status   ${[run.status, run.result, label].filter(Boolean).join(', ')}`)
  print(`  link     ${run.links.join(', ') || 'none'}`)
  show('log', run.log)
  if (isNode) show('output', JSON.stringify(run.output, null, 2).split('\n'))
  else show('summary', (run.summary ?? '').split('\n'))
  for (const { blueprint, identifier, ...rest } of run.entities) {
    const text = Object.keys(rest).length > 0 ? stringify(rest, { lineWidth: 0 }).trimEnd().split('\n') : []
    show('entity', [`${blueprint}/${identifier}`, ...text.map(line => `  ${line}`)])
  }
  for (const { blueprint, identifier } of run.deleted) show('entity', [`${blueprint}/${identifier}, deleted`])
}

const titled = (title: string, lines: string[]) =>
  (lines.join('') === '' ? ['none'] : lines).map((line, index) =>
    `  ${(index === 0 ? title : '').padEnd(8)} ${line}`.trimEnd(),
  )
