import { readFileSync } from 'node:fs'

/**
 * When a process began, in a unit of the system's own: two processes of one pid differ in it. Null for a process that
 * has ended, and where there is no /proc.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (field 22)
 */
export function birthOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program, in brackets, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
  } catch {
    return null
  }
}
