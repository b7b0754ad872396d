import type { StepLog } from './step-log.ts'

/** The folded block in which the runner shows what a step is given: script or inputs, then variables. */
export function logHeader(
  log: StepLog,
  title: string,
  given: Record<string, string>,
  env: Record<string, string>,
): void {
  const list = (values: Record<string, string>) => Object.entries(values).filter(([, value]) => value !== '')
  log.write(`##[group]${title}`)
  const { '': script, ...inputs } = given
  if (script) log.write(script)
  if (list(inputs).length > 0) log.write('with:')
  for (const [name, value] of list(inputs)) log.write(`  ${name}: ${value}`)
  if (list(env).length > 0) log.write('env:')
  for (const [name, value] of list(env)) log.write(`  ${name}: ${value}`)
  log.write('##[endgroup]')
}
