/** Something wrong in a file that steps write to. */
export interface Mistake {
  /** The number of the line; null if it is of the file as a whole. */
  line: number | null
  /** Without its full stop. */
  sentence: string
  /** What is wrong there. */
  value?: string
}

const LONGEST = 60

/**
 * `Line 3 of $PORT_RUN: link must be a URL: "pull/7".`
 *
 * @param redact goes over the value before it is cut: half a secret would be found by nobody
 */
export function describeMistake(
  { line, sentence, value }: Mistake,
  file: string,
  redact: (text: string) => string,
): string {
  const place = line === null ? file : `Line ${line} of ${file}`
  const end = value === undefined ? '' : `: ${JSON.stringify(shorten(redact(value)))}`
  return `${place}: ${redact(sentence)}${end}.`
}

const shorten = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST).toWellFormed()}…` : text)
