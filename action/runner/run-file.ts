import { readBytes, sizeOf } from './log-file.ts'
import { splitLines } from './split-lines.ts'

/** What steps have written to `$PORT_RUN`; of what is written twice, the last counts. */
export interface RunFile {
  /** Empty where none is written: then the label is that of the running step. */
  statusLabel: string
  /** Beside that of the workflow run. */
  links: string[]
  summary: string
  conclusion: Conclusion | null
  /** A sentence for each entry that is wrong; the others count. */
  problems: string[]
}

const CONCLUSIONS = ['success', 'failure', 'cancelled'] as const
type Conclusion = (typeof CONCLUSIONS)[number]

/** The relay takes ten links, and one of them is that of the workflow run. */
const MOST_LINKS = 9
/** Of a file that is read once, and of one that is read every two seconds. */
const MOST_BYTES = { ended: 10_000_000, running: 1_000_000 }

/**
 * Reads `$PORT_RUN`, which has the syntax of GitHub's environment files: `name=value`, or `name<<DELIMITER`, lines, and
 * `DELIMITER`. Whole lines only, so that an entry still being written is left for later.
 *
 * @param options.ended whether nothing more will be written
 * @throws Error where it cannot be read, or is no file
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#environment-files
 */
export function readRunFile(path: string, options: { ended: boolean }): RunFile {
  const size = sizeOf(path)
  const most = options.ended ? MOST_BYTES.ended : MOST_BYTES.running
  const ended = options.ended && size <= most
  const lines = size === 0 ? [] : splitLines(readBytes(path, 0, Math.min(size, most)), { rest: ended })
  const file = parseRunFile(
    lines.map(({ text }) => text),
    { ended },
  )
  if (options.ended && !ended)
    file.problems.push(`$PORT_RUN is too large: what follows the first ${most / 1e6} MB has no effect.`)
  return file
}

function parseRunFile(lines: string[], options: { ended: boolean }): RunFile {
  const file: RunFile = { statusLabel: '', links: [], summary: '', conclusion: null, problems: [] }
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (line.trim() === '') continue
    const [, name, sign, rest] = /^([^=<]*)(=|<<)(.*)$/.exec(line) ?? []
    if (name === undefined) {
      file.problems.push(`Line ${at + 1} of $PORT_RUN is neither name=value nor name<<DELIMITER.`)
      continue
    }
    if (sign === '=') {
      set(file, name.trim(), rest!)
      continue
    }
    const end = lines.indexOf(rest!, at + 1)
    if (end < 0) {
      if (options.ended)
        file.problems.push(`The entry "${name}" of $PORT_RUN has no line "${rest}" at its end.`)
      break
    }
    set(file, name.trim(), lines.slice(at + 1, end).join('\n'))
    at = end
  }
  return file
}

function set(file: RunFile, name: string, value: string): void {
  const refuse = (hint: string) => file.problems.push(`${name} in $PORT_RUN must be ${hint}.`)
  switch (name) {
    case 'status-label':
      file.statusLabel = value.trim()
      break
    case 'summary':
      file.summary = value
      break
    case 'link': {
      const link = value.trim()
      if (!/^https?:\/\//.test(link) || !URL.canParse(link))
        refuse('a URL such as https://github.com/acme/shop/pull/7')
      else if (!file.links.includes(link)) {
        if (file.links.length < MOST_LINKS) file.links.push(link)
        else refuse(`written ${MOST_LINKS} times at most: ${link} is left out`)
      }
      break
    }
    case 'conclusion': {
      const conclusion = CONCLUSIONS.find(each => each === value.trim())
      if (conclusion) file.conclusion = conclusion
      else refuse(`${CONCLUSIONS.slice(0, -1).join(', ')} or ${CONCLUSIONS.at(-1)}`)
      break
    }
    default:
      file.problems.push(
        `$PORT_RUN has the unknown name ${JSON.stringify(name)}: the names are status-label, link, summary and conclusion.`,
      )
  }
}
