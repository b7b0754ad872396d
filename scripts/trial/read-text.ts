import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/**
 * Reads a file that the command line names, from the folder in which npm was called.
 *
 * @throws Error with a sentence that names the file and the option
 */
export function readText(file: string, option: string): string {
  try {
    return readFileSync(fromHere(file), 'utf8').replace(/^\ufeff/, '')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`
    throw new Error(`${file} ${why}: ${option} takes the path of a file.`, { cause })
  }
}

/** npm runs a script in the project's folder, and passes the folder in which it was called. */
export function fromHere(file: string): string {
  const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env
  return resolve(script === 'action' && folder ? folder : '.', file)
}
