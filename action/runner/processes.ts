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

/**
 * When a process started, in a unit of the system's own: two processes of one pid differ in it. Null for a process that
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

/**
 * The process whose end is the job's, for one that main starts; 0 if that cannot be known: in a container main's
 * parent is none of the runner's, and what runs there ends with the container.
 */
export function findWorker(tempFolder: string): number {
  return tempFolder.startsWith('/__w/') ? 0 : process.ppid
}
