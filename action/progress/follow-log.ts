import { logBatches } from '../../port/client/log-batches.ts'
import type { LogLine } from '../../port/types.ts'
import { keepMarks, nextMark, readLogFile } from '../runner/log-file.ts'
import { takeMasks } from '../secrets/masks.ts'
import type { Following } from './following.ts'

/** Requests with lines; Port's limit is one for the whole organisation. A job that logs all the time needs no more. */
const MOST_A_MINUTE = 30
/** Bytes that are read for one request, which takes about as many: this process is to stay small. */
const PIECE = 250_000

/**
 * A look at `$PORT_LOG` that sends its new lines. Lines count as sent from before the request on, unless Port has surely not taken
 * it: when this process is killed at that moment, or the answer gets lost, a line may be missing, but is never there
 * twice. How many may be is left to post.
 */
export function followLog(following: Following): () => Promise<void> {
  const { job, run, folder, masks, clock, ended, send } = following
  const file = job.files.log
  /** When lines were sent, in the last minute. */
  const requests: number[] = []
  let refused = false
  return async () => {
    while (!refused && (await sendLines())) if (ended.signal.aborted) return
  }

  /** One batch; false where there is no other to send now. */
  async function sendLines(): Promise<boolean> {
    while (requests.length > 0 && requests[0]! <= clock() - 60_000) requests.shift()
    if (requests.length >= MOST_A_MINUTE) return false
    const sent = folder.sent()
    const before = { ...nextMark(file, sent), lost: sent.lost }
    if (before.offset === 0) folder.setSent(before)
    const found = readLogFile(file, before.offset, PIECE)
    const count = logBatches(found.map(toLine))[0]?.length ?? 0
    if (count === 0) return false
    const taken = takeMasks(found.slice(0, count), ({ text }) => text)
    if (taken.masks.length > 0) {
      folder.setMasks([...folder.masks(), ...taken.masks])
      masks.add(taken.masks)
    }
    const lines = taken.lines.filter(({ text }) => text.trim() !== '')
    const { end } = found[count - 1]!
    // Now, since the file may be written anew while the request is under way.
    const markAt = keepMarks(file, before.offset, end)
    const after = markAt(end)
    folder.setSent({ ...after, lost: before.lost + lines.length })
    if (lines.length === 0) return count < found.length
    requests.push(clock())
    const error = await send(() => run.log(lines.map(toLine)))
    if (!error) {
      folder.setSent({ ...after, lost: 0 })
      return count < found.length
    }
    // Post reports what Port refuses, with the reason.
    refused = error.kind === 'refused'
    const last = refused ? undefined : lines[error.linesSent - 1]
    // Where nothing was sent, as without a token, nor was the line that counts those lost before.
    const lost = error.linesSent > 0 ? error.linesLost : Math.max(before.lost, error.linesLost)
    folder.setSent({ ...(last ? markAt(last.end) : before), lost })
    return false
  }
}

const toLine = ({ text }: { text: string }): LogLine => ({ level: 'INFO', message: text })
