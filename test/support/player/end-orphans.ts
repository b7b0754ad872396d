import { setTimeout as sleep } from 'node:timers/promises'
import { findProcesses, type Process } from './find-processes.ts'

/**
 * Ends every process that a job has left, however far it detached itself: as the runner does, by the
 * `RUNNER_TRACKING_ID` in its environment. Returns what was ended. Systems without `/proc` find none.
 * Source: JobExtension.cs of actions/runner.
 */
export async function endOrphans(trackingId: string): Promise<Process[]> {
  const orphans = new Map<number, string>()
  for (let round = 0; round < 20; round++) {
    const found = await findProcesses(async (_, environment) =>
      (await environment()).includes(`RUNNER_TRACKING_ID=${trackingId}`),
    )
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
