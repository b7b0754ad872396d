import { stringify } from 'yaml'
import type { Report } from './read-step.ts'
import type { Job, Step } from './read-workflow.ts'
import { forEnv, hasExpression, onlyExpression } from './template.ts'
import type { TextEdits } from './text-edits.ts'
import {
  afterPair,
  itemsOf,
  mapOf,
  nodeAt,
  pairEnd,
  startOf,
  textAt,
  textList,
  textsOf,
} from './yaml-nodes.ts'

/** Makes a `run:` of a step that reports, or takes it out if it has nothing to say. */
export function writeStep({ map, dash, reports }: Step, job: Job, root: unknown, edits: TextEdits): void {
  if (reports!.length === 0) {
    let end = afterPair(map.items.at(-1)!, edits)
    while (end < edits.text.length && edits.text.slice(end, edits.nextLine(end)).trim() === '')
      end = edits.nextLine(end)
    edits.replace(edits.lineStart(dash), end, '')
    return
  }
  // The step's condition may read them.
  const own = itemsOf(nodeAt(map, 'env')).map(({ key, value }) => [String(key.value), textAt(value) ?? ''])
  const [first, ...others] = map.items.filter(({ key }) => /^(uses|with|env)$/.test(String(key.value)))
  const text = stringify({ ...shellOf(job, root), ...reportLines(reports!, own) }, { lineWidth: 0 }).trimEnd()
  const pad = `\n${' '.repeat(edits.columnOf(startOf(map)))}`
  const end = pairEnd(first!, edits)
  const [comment] = /^[ \t]+#.*|/.exec(edits.text.slice(end))!
  edits.replace(startOf(first!.key), end + comment.length, text.replace(/\n(?=.)/g, pad))
  for (const pair of others) edits.replace(edits.lineStart(startOf(pair.key)), afterPair(pair, edits), '')
}

/** The shell and folder of the author's own scripts must not change how a report is written. */
function shellOf(job: Job, root: unknown): { shell?: string; 'working-directory'?: string } {
  const defaults = [root, job.map].map(each => textsOf(nodeAt(each, 'defaults', 'run')))
  const shell = defaults.map(each => each.get('shell')).findLast(each => each !== undefined)
  const runsOn = nodeAt(job.map, 'runs-on')
  const labels = textList(mapOf(runsOn) ? nodeAt(runsOn, 'labels') : runsOn)
  // On Windows, scripts are for PowerShell by default. Only Linux has containers, and their images may have no bash.
  const isUnix = nodeAt(job.map, 'container') || labels.some(label => /^(ubuntu|macos|linux)/i.test(label))
  return {
    ...((shell === undefined ? !isUnix : !/^(bash|sh)\b/.test(shell)) && { shell: 'bash' }),
    ...(defaults.some(each => each.has('working-directory')) && { 'working-directory': '.' }),
  }
}

/** The `env` and `run` that append reports to the files of the action. Values reach the script through `env` alone. */
function reportLines(reports: Report[], own: string[][]): { env?: Record<string, string>; run: string } {
  const env: Record<string, string> = Object.fromEntries(own)
  const lines = reports.map(({ kind, text }) => {
    const conclude = `echo conclusion=failure >> ${file('PORT_RUN')}`
    if (kind === 'conclusion' && !hasExpression(text)) return conclude
    const base = kind === 'log' ? 'MESSAGE' : kind.toUpperCase().replace('-', '_')
    const count = Object.keys(env).filter(name => name.replace(/_\d+$/, '') === base).length
    const name = count === 0 ? base : `${base}_${count + 1}`
    env[name] = kind === 'entity' ? text : forEnv(text)
    if (kind === 'conclusion') return `[ "$${name}" != FAILURE ] || ${conclude}`
    return reportLine(kind, name, onlyExpression(text) !== null)
  })
  return { ...(Object.keys(env).length > 0 && { env }), run: `${lines.join('\n')}\n` }
}

/** In a run that Port didn't start, there may be no such file. */
const file = (name: string): string => `"\${${name}:-/dev/null}"`

/** @param mayBeEmpty what was empty wasn't sent */
function reportLine(kind: Report['kind'], name: string, mayBeEmpty: boolean): string {
  if (kind === 'log') return `printf '%s\\n' "$${name}" >> ${file('PORT_LOG')}`
  if (kind === 'entity') return `{ ${onOneLine('%s', name)}; } >> ${file('PORT_ENTITIES')}`
  const unlessEmpty = mayBeEmpty ? `[ -z "$${name}" ] || ` : ''
  // Nobody knew the delimiter when the value was entered.
  const end = 'END="end-$GITHUB_RUN_ID-$(date +%s)-$$"'
  const summary = `${end}; printf 'summary<<%s\\n%s\\n%s\\n' "$END" "$${name}" "$END"`
  const entry = kind === 'summary' ? summary : onOneLine(`${kind}=%s`, name)
  return `${unlessEmpty}{ ${entry}; } >> ${file('PORT_RUN')}`
}

/** A line break in the value would start another entry. */
const onOneLine = (format: string, name: string): string =>
  `printf '${format}' "$${name}" | tr -d '\\r\\n'; echo`
