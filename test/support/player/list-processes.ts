import { readdir, readFile, readlink } from 'node:fs/promises'

/** The live processes in the container whose first process is `first`, without that one, by their ids outside of it. */
export async function listProcesses(first: number): Promise<{ pid: number; command: string }[]> {
  const spaceOf = (pid: number | string) => readlink(`/proc/${pid}/ns/pid`).catch(() => null)
  const space = await spaceOf(first)
  if (space === null) return []
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name) && name !== String(first))
  const found = await Promise.all(
    ids.map(async id => {
      if ((await spaceOf(id)) !== space) return []
      // Empty for one that has ended: the first process waits for nobody.
      const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')
      return command === '' ? [] : [{ pid: Number(id), command: command.replaceAll('\0', ' ').trim() }]
    }),
  )
  return found.flat()
}
