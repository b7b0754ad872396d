import { styleText } from 'node:util'

type Who = 'Port' | 'relay' | 'GitHub' | 'runner'

interface Entry {
  /** Milliseconds since 1970. */
  at: number
  who: Who
  /** Id of the Port run, delivery, workflow run, or step. */
  id: string
  what: string
}

export interface Timeline {
  /** Starts a new act. Times are relative to this call. */
  start(title: string): void
  add(entry: Entry): void
  /** Prints lines below all entries so far. */
  print(lines: string[]): void
}

const COLOUR = { Port: 'magenta', relay: 'cyan', GitHub: 'blue', runner: 'yellow' } as const
/** How long each entry is delayed, so that entries that arrive late are still printed in order. */
const ORDER_MS = 300

/** Prints entries in columns, in chronological order. */
export function createTimeline(stream: NodeJS.WriteStream): Timeline {
  let start = Date.now()
  let waiting: Entry[] = []
  const style = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text, { stream })
  const line = (text: string) => stream.write(`${text.trimEnd()}\n`)

  function flush(until: number): void {
    const due = waiting.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
    waiting = waiting.filter(({ at }) => at > until)
    for (const { at, who, id, what } of due) {
      const time = `${(Math.max(0, at - start) / 1000).toFixed(2)} s`.padStart(8)
      const [first, ...more] = what.split('\n')
      const mark = /^✗/.test(what) ? style('red', first!) : /^✓/.test(what) ? style('green', first!) : first
      line(
        `${style('dim', time)}  ${style(COLOUR[who], who.padEnd(6))}  ${style('dim', id.slice(0, 18).padEnd(18))}  ${mark}`,
      )
      for (const text of more) line(`${' '.repeat(38)}${text}`)
    }
  }
  setInterval(() => flush(Date.now() - ORDER_MS), 50).unref()

  return {
    start(title) {
      flush(Number.POSITIVE_INFINITY)
      for (const text of ['', style('bold', title), '']) line(text)
      start = Date.now()
    },
    add(entry) {
      // Drops entries from before the start, because they belong to the previous act.
      if (entry.at >= start) waiting.push(entry)
    },
    print(lines) {
      flush(Number.POSITIVE_INFINITY)
      for (const text of lines) line(text)
    },
  }
}
