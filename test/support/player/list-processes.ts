import { readlink } from 'node:fs/promises'
import { findProcesses, type Process } from './find-processes.ts'

const spaceOf = (pid: number | string) => readlink(`/proc/${pid}/ns/pid`).catch(() => null)

/** The live processes in the container whose first process is `first`, without that one, by their ids outside of it. */
export async function listProcesses(first: number): Promise<Process[]> {
  const space = await spaceOf(first)
  if (space === null) return []
  return await findProcesses(async id => id !== String(first) && (await spaceOf(id)) === space)
}
