import { withoutColours } from '../../port/without-colours.ts'

const MAX_LINES = 100
const MAX_LINE = 1_000
/** What GitHub puts before each line of a job's log. */
const TIME = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?/
/** The runner's commands as a log shows them: `##[error]…`, or `::add-mask::…` where a step printed one. */
const MASKING = /(?:##\[|::)\s*add-mask/i

/**
 * The last lines of a job's log, made for reading: no times, no colours, no runner commands; GitHub's `***`,
 * where a secret was, says so in words, and a line that registers a secret is left out.
 *
 * @param until what came later is left out: the clean-up after the step that failed, milliseconds since 1970
 */
export function cleanLog(text: string, until: number | null): string[] {
  const lines: { at: number; text: string }[] = []
  let at = 0
  for (const raw of text.split(/\r?\n/)) {
    const time = TIME.exec(raw)
    if (time) at = Date.parse(time[1] as string)
    const line = clean(time ? raw.slice(time[0].length) : raw)
    if (line !== null) lines.push({ at, text: line })
  }
  // GitHub gives the end of a step in whole seconds.
  const within = until === null ? lines : lines.filter(line => line.at < until + 1000)
  const kept = within.length > 0 ? within : lines
  while (kept.at(-1)?.text === '') kept.pop()
  return kept.slice(-MAX_LINES).map(line => line.text)
}

function clean(raw: string): string | null {
  // What a terminal would have shown: after a carriage return the line begins anew.
  const parts = raw.split('\r').map(withoutColours)
  const shown = parts.findLast(part => part !== '') ?? ''
  if (MASKING.test(shown) || /^##\[endgroup\]/.test(shown)) return null
  const text = shown
    .replace(/^##\[(error|warning)\]/, (_, word: string) => `${word === 'error' ? 'Error' : 'Warning'}: `)
    .replace(/^##\[\w+\]/, '')
    .replace(/[\p{Cc}\p{Cs}]/gu, char => (char === '\t' ? '  ' : ''))
    .replaceAll(/\*{3,}/g, '[masked]')
    .trimEnd()
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE).toWellFormed()}… (cut)`
}
