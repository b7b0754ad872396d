import { PortError } from '../../port/client/client.ts'
import { logBatches } from '../../port/client/messages.ts'
import type { LogLine } from '../../port/types.ts'
import { QuotaError } from '../reporter/relay-request.ts'
import { isUncertain } from '../reporter/reporter.ts'

/**
 * Sends lines in batches, one after the other, since Port shows them in order of arrival. A batch whose answer got
 * lost is not sent again, so that no line is there twice: a line in its place says that some may be missing. One that
 * Port refuses is left out, since it may accept the next; once the quota of the run is used up, none is sent.
 *
 * What the sender throws is that of the first batch that failed; its `linesSent` is how many lines Port has, or may
 * have, so that nobody needs to send them again; its `linesLost` are those that may be missing and are not yet counted in a line.
 *
 * @param send one batch
 * @param late whether the time has passed; the first batch goes in any case
 */
export function createLogSender(
  send: (batch: LogLine[]) => Promise<void>,
  late: () => boolean,
): (lines: readonly LogLine[]) => Promise<void> {
  /** Lines that may be missing, and that no line in Port counts yet. */
  let lost = 0

  return async lines => {
    let left = lines.length
    let failure: PortError | null = null
    let gotLost = false
    const stop: (error: PortError) => never = error => {
      error.linesSent = lines.length - left
      error.linesLost = lost
      throw error
    }
    for (let first = true; left > 0 || (failure && lost > 0); first = false) {
      if (!first && late()) stop(failure ?? noTime(left))
      const mark = lost > 0 ? [missingLine(lost)] : []
      const batch = logBatches([...mark, ...lines.slice(lines.length - left)])[0]!
      const count = batch.length - mark.length
      try {
        await send(batch)
        lost = 0
        left -= count
      } catch (error) {
        if (!(error instanceof PortError)) throw error
        if (error instanceof QuotaError) stop(error)
        const uncertain: boolean = isUncertain(error)
        const again = gotLost && uncertain
        if (!uncertain && error.kind !== 'refused') stop(failure ?? error)
        if (uncertain) lost += count
        left -= count
        failure ??= error
        gotLost ||= uncertain
        if (count === 0 || again) stop(failure)
      }
    }
    if (failure) stop(failure)
  }
}

/** Stands in the log where lines may be missing. */
export const missingLine = (count: number): LogLine => ({
  level: 'WARN',
  message: `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's answer to ${count === 1 ? 'it' : 'them'} got lost.`,
})

const noTime = (count: number) =>
  new PortError(
    'unreachable',
    `no time was left for ${count === 1 ? 'the last line' : `the last ${count} lines`} of it.`,
  )
