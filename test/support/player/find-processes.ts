import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export type Process = { pid: number; command: string }

/** The live processes that belong: by their id, and by their environment. Systems without `/proc` have none. */
export async function findProcesses(
  belongs: (id: string, environment: () => Promise<string[]>) => Promise<boolean>,
): Promise<Process[]> {
  const ids = (attempt(() => readdirSync('/proc')) ?? []).filter(name => /^\d+$/.test(name))
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
  const read = (name: string) => attempt(() => readFileSync(`/proc/${id}/${name}`, 'utf8')) ?? ''
  for (let n = 0; n < 100; n++) {
    const text = read(file)
    if (text !== '' || (file === 'environ' && read('cmdline') !== '')) return text || read(file)
    // Neither a zombie nor a kernel thread has a program.
    if (attempt(() => readlinkSync(`/proc/${id}/exe`)) === undefined) return ''
    await sleep(5)
  }
  return ''
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
