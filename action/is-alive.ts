import { readFileSync } from 'node:fs'

/** Whether a process runs. One that has ended and that nobody has waited for (a container's first process may not) does not. */
export function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return true // Not Linux.
  }
}
