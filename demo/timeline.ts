import { styleText } from 'node:util'

type Who = 'Port' | 'relay' | 'GitHub' | 'runner'

interface Entry {
  /** Epoch milliseconds. */
  at: number
  who: Who
  /** The run, delivery, workflow run or step that it is about. */
  id: string
  what: string
}

export interface Timeline {
  /** A new act, whose time starts now. */
  start(title: string): void
  add(entry: Entry): void
  /** Separate lines below everything that has happened. */
  print(lines: string[]): void
}

const COLOUR = { Port: 'magenta', relay: 'cyan', GitHub: 'blue', runner: 'yellow' } as const
/** Entries from four places arrive a little late: each waits this long, so that all are printed in order. */
const ORDER_MS = 300

/** Prints what happens in columns, in the order in which it happened. */
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
        `${style('dim', time)}  ${style(COLOUR[who], who.padEnd(6))}  ${style('dim', id.padEnd(18))}  ${mark}`,
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
      // What comes late belongs to an act that is over.
      if (entry.at >= start) waiting.push(entry)
    },
    print(lines) {
      flush(Number.POSITIVE_INFINITY)
      for (const text of lines) line(text)
    },
  }
}
