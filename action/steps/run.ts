import { OUTPUTS } from '../../port/client/run-bodies.ts'
import { parseJson } from '../../port/text.ts'
import type { Conclusion, Json, JsonObject } from '../../port/types.ts'
import { type FileLine, readBytes, sizeOf, splitLines } from '../runner/files.ts'
import type { Mistake } from '../runner/runner.ts'

export interface RunFile {
  /** The label; if empty, Port shows the running step. */
  statusLabel: string
  links: string[]
  summary: string
  conclusion: Conclusion | null
  outputs: JsonObject
  /** Messages about invalid entries. The action uses all valid entries. */
  problems: Mistake[]
}

/** GitHub's and Port's names of conclusions, in lower case. */
const CONCLUSIONS: Record<string, Conclusion> = {
  ...{ success: 'success', succeeded: 'success', failure: 'failure', failed: 'failure' },
  ...{ cancelled: 'cancelled', canceled: 'cancelled' },
}

/** The relay accepts ten links, and the first one is the workflow run's. */
const MOST_LINKS = 9
const MOST_PROBLEMS = 100
const MOST_BYTES = { final: 10_000_000, running: 1_000_000 }

/**
 * Reads `$PORT_RUN`, which has the syntax of GitHub's environment files. A step may still be writing the last line.
 * @param options.final whether the file is complete
 * @throws Error if the file can't be read, or isn't a regular file
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#environment-files
 */
export function readRunFile(path: string, options: { final: boolean }): RunFile {
  const size = sizeOf(path)
  const most = options.final ? MOST_BYTES.final : MOST_BYTES.running
  const final = options.final && size <= most
  const lines = size === 0 ? [] : splitLines(readBytes(path, 0, Math.min(size, most)), { rest: final })
  const file = parseRunFile(lines, { final })
  if (options.final && !final)
    file.problems.push({ line: null, sentence: `everything after the first ${most / 1e6} MB is ignored` })
  return file
}

export const EMPTY_RUN_FILE: RunFile = {
  ...{ statusLabel: '', links: [], summary: '', conclusion: null },
  ...{ outputs: {}, problems: [] },
}

function parseRunFile(given: FileLine[], options: { final: boolean }): RunFile {
  const lines = given.map(({ text }) => text)
  const file: RunFile = { ...EMPTY_RUN_FILE, links: [], problems: [] }
  const outputs = new Map<string, Json>()
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (line.trim() === '') continue
    const [, name, sign, rest] = /^([^=<]*)(=|<<)(.*)$/s.exec(line) ?? []
    if (name === undefined) {
      file.problems.push({ line: at + 1, sentence: 'neither name=value nor name<<DELIMITER', value: line })
      continue
    }
    if (sign === '=') {
      set(file, { line: at + 1, name: nameOf(name), value: rest! }, outputs)
      continue
    }
    const end = lines.indexOf(rest!, at + 1)
    if (end < 0) {
      if (!options.final) break
      const sentence = 'no later line consists of only the delimiter'
      file.problems.push({ line: at + 1, sentence, value: line })
      // A `conclusion` after the invalid line still counts, so that it can mark the Port run as failed.
      const entry = lines.findLastIndex(each => /^\s*conclusion\s*=/i.test(each))
      if (entry > at)
        set(file, { line: entry + 1, name: 'conclusion', value: lines[entry]!.split('=', 2)[1]! }, outputs)
      break
    }
    set(file, { line: at + 1, name: nameOf(name), value: lines.slice(at + 1, end).join('\n') }, outputs)
    at = end
  }
  const more = file.problems.length - MOST_PROBLEMS
  if (more > 0)
    file.problems.splice(MOST_PROBLEMS, more, { line: null, sentence: `${more} more entries are invalid` })
  return { ...file, outputs: Object.fromEntries(outputs) }
}

function nameOf(text: string): string {
  const name = text.trim()
  return /^output\./i.test(name) ? `output.${name.slice('output.'.length)}` : name.toLowerCase()
}

type Entry = { line: number; name: string; value: string }

function set(file: RunFile, { line, name, value }: Entry, outputs: Map<string, Json>): void {
  const refuse = (hint: string) =>
    file.problems.push({ line, sentence: `${name} must be ${hint}`, value: value.trim() })
  if (name.startsWith('output.')) {
    setOutput(file, { line, name: name.slice('output.'.length), value }, outputs)
    return
  }
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
        else refuse(`written at most ${MOST_LINKS} times, so this link is omitted`)
      }
      break
    }
    case 'conclusion': {
      const word = value.trim().toLowerCase()
      const known = Object.hasOwn(CONCLUSIONS, word)
      // An unknown value counts as `failure`, so that a typo can't turn a failure into a success.
      file.conclusion = known ? CONCLUSIONS[word]! : 'failure'
      if (!known) refuse('success, failure or cancelled, so the action uses failure')
      break
    }
    default:
      file.problems.push({
        line,
        sentence: 'unknown name; valid names are status-label, link, summary, conclusion and output.NAME',
        value: name,
      })
  }
}

/** `NAME` stores the value as text, `NAME:json` as JSON. */
function setOutput(file: RunFile, entry: Entry, outputs: Map<string, Json>): void {
  const { line, value } = entry
  const name = entry.name.replace(/:json$/i, '')
  const isJson = name !== entry.name
  const parsed = isJson ? parseJson(value) : value
  if (!OUTPUTS.name.test(name)) {
    const sentence = 'the name of an output can contain only letters, digits, _ and -'
    file.problems.push({ line, sentence, value: name })
  } else if (parsed === undefined || !isShallow(parsed, MOST_LEVELS)) {
    const sentence = `output.${name}:json must be JSON with at most ${MOST_LEVELS} levels`
    file.problems.push({ line, sentence, value })
  } else outputs.set(name, parsed)
}

/** The maximum depth of an output. The relay accepts 90 levels in a report. */
const MOST_LEVELS = 80

const isShallow = (value: Json, levels: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every(each => isShallow(each, levels - 1)))
