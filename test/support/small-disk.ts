import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Mounts an in-memory disk that a test can fill. @returns null if the process can't mount file systems */
export function mountSmallDisk(folder: string, size: string) {
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return null
  }
  const filler = join(folder, 'filler')
  return {
    /** Fills the disk to the last byte. */
    fill() {
      const file = openSync(filler, 'a')
      try {
        for (const size of [65_536, 4_096, 1]) {
          try {
            for (;;) writeSync(file, Buffer.alloc(size))
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          }
        }
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(filler, { force: true }),
    remount: (mode: 'ro' | 'rw') => void execFileSync('mount', ['-o', `remount,${mode}`, folder]),
    unmount: () => void execFileSync('umount', ['-l', folder]),
  }
}
