import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Ends every process that a job has left, however far it detached itself: as the runner does, by the
 * `RUNNER_TRACKING_ID` in its environment. Returns what was ended. Systems without `/proc` find none.
 * Source: JobExtension.cs of actions/runner.
 */
export async function endOrphans(trackingId: string): Promise<{ pid: number; command: string }[]> {
  const orphans = new Map<number, string>()
  for (let round = 0; round < 20; round++) {
    const found = await findTracked(trackingId)
    if (found.length === 0) break
    for (const { pid, command } of found) {
      orphans.set(pid, command)
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended in the meantime.
      }
    }
    await sleep(10)
  }
  return [...orphans].map(([pid, command]) => ({ pid, command }))
}

async function findTracked(trackingId: string) {
  const ids = (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    ids.map(async pid => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      if (!environment.split('\0').includes(`RUNNER_TRACKING_ID=${trackingId}`)) return []
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return [{ pid: Number(pid), command: command.replaceAll('\0', ' ').trim() }]
    }),
  )
  return found.flat()
}
