import type { RunUpdate } from '../types.ts'
import { PortError, type PortErrorKind } from './port-error.ts'

/**
 * Sends an update; one that ends the run does so even where Port rejects a link, a label or a summary: it is
 * sent again with less, and at last with the conclusion alone, rather than leaving the run in progress for ever.
 * Who answers so does not matter: a gateway may reject a body for its content, too. A label or summary that is too long
 * is cut.
 *
 * @throws PortError
 */
export async function sendUpdate(
  update: RunUpdate,
  send: (update: RunUpdate) => Promise<unknown>,
): Promise<void> {
  const shown = cutTexts(update)
  const { conclusion, summary } = shown
  const forms = [shown]
  if (conclusion !== undefined) {
    for (const less of [{ conclusion, summary }, { conclusion }]) {
      if (size(less) < size(forms.at(-1) as RunUpdate)) forms.push(less)
    }
  }
  for (const [i, form] of forms.entries()) {
    try {
      await send(form)
      return
    } catch (error) {
      const ofContent =
        error instanceof PortError && KINDS.has(error.kind) && !error.ofToken && CONTENT.has(error.status)
      if (!ofContent || i === forms.length - 1) throw error
    }
  }
}

/** As JSON; a report through the relay has 256 KB at most. */
const MOST_SUMMARY_BYTES = 200_000
/** The relay accepts no longer one. */
const MOST_LABEL = 1_000

function cutTexts(update: RunUpdate): RunUpdate {
  const { statusLabel, summary } = update
  return {
    ...update,
    ...(statusLabel !== undefined && { statusLabel: cutLabel(statusLabel) }),
    ...(summary !== undefined && { summary: cutSummary(summary) }),
  }
}

const cutLabel = (label: string) =>
  label.length > MOST_LABEL ? `${label.slice(0, MOST_LABEL - 1).toWellFormed()}…` : label

/** The beginning of a summary that is too large, with a mark. */
export function cutSummary(summary: string): string {
  if (jsonBytes(summary) <= MOST_SUMMARY_BYTES) return summary
  const mark = `\n\n… (cut from ${summary.length} characters)`
  const most = MOST_SUMMARY_BYTES - jsonBytes(mark)
  let [least, end] = [0, most]
  while (least < end) {
    const middle = Math.ceil((least + end) / 2)
    if (jsonBytes(summary.slice(0, middle)) <= most) least = middle
    else end = middle - 1
  }
  return summary.slice(0, end).toWellFormed() + mark
}

const jsonBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text))

const KINDS = new Set<PortErrorKind>(['refused', 'unreachable'])
/** Statuses that a body was rejected with. */
const CONTENT = new Set<number | null>([400, 413, 422])

const size = (update: RunUpdate): number => Object.values(update).filter(value => value !== undefined).length
