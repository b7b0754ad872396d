import { stripAnsiCodes } from '../../port/strip-ansi-codes.ts'

const MAX_LINES = 100
const MAX_LINE = 1_000
/** What is read of a line with its ANSI codes. */
const MAX_PART = 4_000
/** What GitHub puts before each line of a job's log. */
const TIME = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?/
/** The runner's commands as a log shows them: `##[error]…`, or `::add-mask::…` where a step printed one. */
const MASKING = /(?:##\[|::)\s*add-mask/i

/**
 * The last lines of a job's log, made for reading: no times, no ANSI codes, no runner commands. GitHub's `***`, where
 * a secret was, becomes `[masked]`, and a line that registers a secret is left out.
 *
 * @param until what came later is left out: the clean-up after the step that failed, milliseconds since 1970
 */
export function cleanLog(text: string, until: number | null): string[] {
  const lines: { at: number; raw: string }[] = []
  let at = 0
  for (const raw of text.split(/\r?\n/)) {
    const time = TIME.exec(raw)
    if (time) at = Date.parse(time[1] as string)
    lines.push({ at, raw: time ? raw.slice(time[0].length) : raw })
  }
  // GitHub gives the end of a step in whole seconds.
  const within = until === null ? lines : lines.filter(line => line.at < until + 1000)
  return lastLines(within) ?? lastLines(lines) ?? []
}

/** From the end, and no more than is kept; null where none is. */
function lastLines(lines: readonly { raw: string }[]): string[] | null {
  const kept: string[] = []
  for (let i = lines.length - 1; i >= 0 && kept.length < MAX_LINES; i--) {
    const line = clean((lines[i] as { raw: string }).raw)
    if (line !== null && (line !== '' || kept.length > 0)) kept.push(line)
  }
  return kept.length > 0 ? kept.reverse() : null
}

function clean(raw: string): string | null {
  // What a terminal would have shown: after a carriage return the line begins anew.
  let shown = ''
  for (let end = raw.length; shown === '' && end > 0; end = raw.lastIndexOf('\r', end - 1)) {
    const part = raw.slice(raw.lastIndexOf('\r', end - 1) + 1, end)
    shown = stripAnsiCodes(part.slice(0, MAX_PART))
  }
  if (MASKING.test(shown) || /^##\[endgroup\]/.test(shown)) return null
  const text = shown
    .replace(/^##\[(error|warning)\]/, (_, word: string) => `${word === 'error' ? 'Error' : 'Warning'}: `)
    .replace(/^##\[\w+\]/, '')
    .replace(/[\p{Cc}\p{Cs}]/gu, char => (char === '\t' ? '  ' : ''))
    .replaceAll(/\*{3,}/g, '[masked]')
    .trimEnd()
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE).toWellFormed()}… (cut)`
}
