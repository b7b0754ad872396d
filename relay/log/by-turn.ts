import type pino from 'pino'

type Destination = ReturnType<typeof pino.destination>

/** Where pino writes to. */
export type LogDestination = Pick<Destination, 'flush' | 'flushSync'> & { write(line: string): void }

/**
 * Hands on the lines of one turn of the event loop together: with each line, a destination of pino measures up to 16 KB of
 * those that wait, which under load costs more than making the line. Where they are too many, those of a turn are dropped.
 */
export function byTurn(destination: Destination): LogDestination {
  let lines: string[] = []
  const handOn = () => {
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    destination.write(text)
  }
  // Before pino's own, which writes what the destination holds.
  process.prependListener('exit', handOn)
  return {
    write(line) {
      if (lines.length === 0) setImmediate(handOn)
      lines.push(line)
    },
    flush(done) {
      handOn()
      destination.flush(done)
    },
    flushSync() {
      handOn()
      destination.flushSync()
    },
  }
}
