import type { Masker } from './job-state.ts'
import { refuse } from './template.ts'
import type { Annotation, SimulatedStep } from './types.ts'

const unescapeData = (text: string) =>
  text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%')
const unescapeProperty = (text: string) => unescapeData(text.replaceAll('%3A', ':').replaceAll('%2C', ','))

/**
 * Writes a step's log. Executes the workflow commands that a process prints, and masks secrets in the other lines.
 *
 * @param leaveOut called with each command that GitHub has disabled or that the simulator doesn't support
 * Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
export function createStepLog(
  step: SimulatedStep,
  masker: Masker,
  leaveOut: (what: string) => void = refuse,
) {
  let stoppedBy: string | null = null

  const write = (text: string) => {
    step.log += `${masker.mask(text)}\n`
  }

  const annotate = (level: Annotation['level'], message: string, properties: Record<string, string> = {}) => {
    write(`##[${level}]${message}`)
    if (step.annotations.filter(one => one.level === level).length < 10) {
      step.annotations.push({ level, message: masker.mask(message), properties })
    }
  }

  const line = (text: string) => {
    const [, name, list, data] = /^\s*::([a-z-]+)(?: ([^\n]*?))?::(.*)$/i.exec(text) ?? []
    if (stoppedBy !== null && name !== stoppedBy) return write(text)
    if (name === undefined) return write(text)
    const message = unescapeData(data!)
    switch (name) {
      case stoppedBy:
        stoppedBy = null
        return
      case 'error':
      case 'warning':
      case 'notice': {
        const pairs = (list ?? '').split(',').filter(pair => pair.includes('='))
        const properties = pairs.map(pair => {
          const at = pair.indexOf('=')
          return [pair.slice(0, at).trim(), unescapeProperty(pair.slice(at + 1))]
        })
        return annotate(name, message, Object.fromEntries(properties))
      }
      case 'add-mask':
        if (message.trim() === '')
          return annotate('warning', "Can't add secret mask for empty string in ##[add-mask] command.")
        masker.add(message)
        return write('::add-mask::***')
      case 'group':
        return write(`##[group]${message}`)
      case 'endgroup':
        return write('##[endgroup]')
      case 'debug':
        return
      case 'stop-commands':
        stoppedBy = message
        return
      default:
        return leaveOut(`the workflow command "::${name}::" that "${step.name}" printed`)
    }
  }

  return { line, write, annotate }
}

export type StepLog = ReturnType<typeof createStepLog>

/** Logs a folded block with a step's script or inputs, followed by its variables, as the runner does. */
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
