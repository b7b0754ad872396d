import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export type Process = { pid: number; command: string }

/** The live processes that belong: by their id, and by their environment. Systems without `/proc` have none. */
export async function findProcesses(
  belongs: (id: string, environment: () => Promise<string[]>) => Promise<boolean>,
): Promise<Process[]> {
  const ids = (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    ids.map(async id => {
      const environment = async () => (await readSettled(id, 'environ')).split('\0')
      if (!(await belongs(id, environment))) return []
      const command = await readSettled(id, 'cmdline')
      // One that has ended has none.
      return command === '' ? [] : [{ pid: Number(id), command: command.replaceAll('\0', ' ').trim() }]
    }),
  )
  return found.flat()
}

/** During `execve` Linux shows a live process with neither command line nor environment: it is read again. */
async function readSettled(id: string, file: 'environ' | 'cmdline'): Promise<string> {
  const read = (name: string) => readFile(`/proc/${id}/${name}`, 'utf8').catch(() => '')
  for (let attempt = 0; attempt < 100; attempt++) {
    const text = await read(file)
    if (text !== '' || (file === 'environ' && (await read('cmdline')) !== ''))
      return text || (await read(file))
    // Neither a zombie nor a kernel thread has a program.
    if ((await readlink(`/proc/${id}/exe`).catch(() => null)) === null) return ''
    await sleep(5)
  }
  return ''
}
