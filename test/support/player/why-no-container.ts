import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startContainer } from './start-container.ts'

/** Starts a container: null where jobs with `container:` can be played, else the machine's error. */
export async function whyNoContainer(): Promise<string | null> {
  if (process.platform !== 'linux') return 'Containers of jobs are only on Linux.'
  const folder = await mkdtemp(join(tmpdir(), 'container-'))
  try {
    const container = await startContainer(join(folder, 'root'), [])
    try {
      const { command, args } = container.exec('true', [], '/')
      await promisify(execFile)(command, args)
    } finally {
      await container.stop()
    }
    return null
  } catch (error) {
    return (error as Error).message
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
