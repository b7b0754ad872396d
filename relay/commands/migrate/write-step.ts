import { isFixed, type Report } from './port-step.ts'
import { hasExpression, onlyExpression } from './template.ts'
import { writeScalar } from './yaml-nodes.ts'

/** What takes the place of `uses:` and `with:` in a step that reports: `env:` and `run:`. */
export interface Written {
  env: [name: string, value: string][]
  script: string[]
}

/**
 * The script that appends reports to the files of the action. Values reach it through `env:` alone.
 *
 * @param kept variables that the step has besides
 */
export function writeReports(
  reports: Report[],
  identifierIsRead: boolean,
  isOptional: boolean,
  kept: Written['env'] = [],
): Written {
  /** Without the action there is no such file. */
  const file = (name: string) => (isOptional ? `"\${${name}:-/dev/null}"` : `"$${name}"`)
  const env = [...kept]
  const script: string[] = []
  const variable = (base: string, value: string) => {
    const count = env.filter(([name]) => name === base || name.startsWith(`${base}_`)).length
    const name = count === 0 ? base : `${base}_${count + 1}`
    env.push([name, value])
    return name
  }
  for (const report of reports) {
    switch (report.kind) {
      case 'log':
        script.push(`printf '%s\\n' "$${variable('MESSAGE', report.text)}" >> ${file('PORT_LOG')}`)
        break
      case 'entity': {
        const name = variable('ENTITY', report.json)
        script.push(`{ printf '%s' "$${name}" | tr -d '\\n'; echo; } >> ${file('PORT_ENTITIES')}`)
        if (identifierIsRead && report.identifier) {
          const identifier = variable('IDENTIFIER', report.identifier)
          script.push(`${entry('identifier', identifier)} >> "$GITHUB_OUTPUT"`)
        }
        break
      }
      case 'link':
      case 'status-label': {
        const name = variable(report.kind === 'link' ? 'LINK' : 'STATUS_LABEL', report.text)
        const line = `${entry(report.kind, name)} >> ${file('PORT_RUN')}`
        // What was empty was not sent.
        script.push(onlyExpression(report.text) === null ? line : `[ -z "$${name}" ] || ${line}`)
        break
      }
      case 'summary': {
        const name = variable('SUMMARY', report.text)
        script.push(
          `{ echo "summary<<end-of-summary-$GITHUB_RUN_ID"; printf '%s\\n' "$${name}"; echo "end-of-summary-$GITHUB_RUN_ID"; } >> ${file('PORT_RUN')}`,
        )
        break
      }
      case 'status':
        if (!hasExpression(report.text)) script.push(`echo conclusion=failure >> ${file('PORT_RUN')}`)
        else {
          const name = variable('STATUS', report.text)
          script.push(`[ "$${name}" != FAILURE ] || echo conclusion=failure >> ${file('PORT_RUN')}`)
        }
    }
  }
  return { env, script }
}

/** Prints one line: a break in the value would begin another entry. */
const entry = (key: string, variable: string): string =>
  `{ printf '${key}=%s' "$${variable}" | tr -d '\\r\\n'; echo; }`

/** Whether nothing of a step is worth its place: fixed text, which the action's log of steps replaces. */
export const saysNothing = (reports: Report[], keepLogs: boolean): boolean =>
  reports.every(report => isFixed(report) && !keepLogs)

/** `env:` and `run:` (and what else `more` has) as YAML, its lines after the first at `indent` columns. */
export function writeStep({ env, script }: Written, indent: number, more: string[]): string {
  const pad = ' '.repeat(indent)
  const lines = [...more]
  if (env.length > 0) {
    lines.push('env:', ...env.map(([name, value]) => `  ${name}: ${writeScalar(value, indent + 4)}`))
  }
  // `printf '%s\n' "$X" >> "$FILE"` is plain YAML; what begins with a bracket is not.
  const [only] = script
  if (script.length === 1 && /^[a-z]/.test(only!)) lines.push(`run: ${only}`)
  else lines.push('run: |', ...script.map(line => `  ${line}`))
  return lines.map((line, index) => (index === 0 ? line : pad + line)).join('\n')
}
