import type { Inputs } from '../runner/inputs.ts'
import type { Runner } from '../runner/runner.ts'
import { createRedact, type Redact } from './redact.ts'

/** A growing list of values to hide from Port. */
export interface Masks {
  redact: Redact
  add(secrets: readonly string[]): void
}

export function createMasks(secrets: readonly string[] = []): Masks {
  const known = new Set(secrets)
  let redact: Redact = createRedact([...known])
  return {
    redact: text => redact(text),
    add(more) {
      const before = known.size
      for (const secret of more) known.add(secret)
      if (known.size > before) redact = createRedact([...known])
    },
  }
}

const COMMAND = /^\s*::add-mask::(.*)$/is

/**
 * Removes `::add-mask::VALUE` lines from the lines for Port's log, as the runner does for its own log.
 *
 * @returns the remaining lines, and the masked values
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 */
export function takeMasks<Line>(
  lines: readonly Line[],
  textOf: (line: Line) => string,
): { lines: Line[]; masks: string[] } {
  const masks: string[] = []
  const others = lines.filter(line => {
    const value = maskOf(textOf(line))
    if (value !== null) masks.push(value)
    return value === null
  })
  return { lines: others, masks: masks.filter(mask => mask.trim() !== '') }
}

/** The value that a line masks; null for any other line. */
function maskOf(line: string): string | null {
  const [, value] = COMMAND.exec(line) ?? []
  return value === undefined ? null : unescapeData(value)
}

/** @see https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts (escapeData) */
const unescapeData = (text: string) =>
  text.replace(/%0D|%0A|%25/gi, found => ({ '%0D': '\r', '%0A': '\n' })[found.toUpperCase()] ?? '%')

/**
 * The job's own keys and tokens, which `env >> "$PORT_LOG"` would leak to Port, and the values of the input `mask`.
 */
export function jobCredentials(
  inputs: Inputs,
  env: Runner['env'],
  reportToken: string | null = null,
): string[] {
  return [
    inputs.portClientSecret,
    inputs.privateKey,
    inputs.githubToken,
    reportToken ?? '',
    env.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? '',
    env.ACTIONS_RUNTIME_TOKEN ?? '',
    ...inputs.mask,
  ].filter(secret => secret !== '')
}
