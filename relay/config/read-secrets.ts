import { trimEnd } from '../../port/trim-end.ts'

type Env = Record<string, string | undefined>

/**
 * The environment with its secrets, each from its variable or its file. Empty variables count as unset. A byte
 * order mark in front and line breaks at the end come from an editor or a shell, and are no part of a secret.
 *
 * @param names of the secrets that may come from a file, `NAME_FILE`
 * @param problems what is wrong goes here, a sentence each
 * @returns the values, and the names of the secrets that their files did not give: they are reported already
 */
export function readSecrets(
  env: Env,
  names: string[],
  readFile: (path: string) => string,
  problems: string[],
): { values: Env; unread: string[] } {
  const unread: string[] = []
  const values: Env = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
  for (const name of names) {
    const path = values[`${name}_FILE`]
    if (path && values[name]) problems.push(`${name} and ${name}_FILE are both set: keep one`)
    if (path) values[name] = readOne(name, path)
    if (values[name]) values[name] = trimEnd(values[name].replace(/^\ufeff/, ''), '\r\n')
  }
  return { values, unread }

  function readOne(name: string, path: string): string {
    try {
      const text = readFile(path)
      if (text.trim()) return text
      problems.push(`${name}_FILE: ${path} is empty`)
    } catch (error) {
      const { code = 'error' } = error as NodeJS.ErrnoException
      problems.push(`${name}_FILE: ${path} cannot be read (${code})`)
    }
    unread.push(name)
    // So that it is not reported as missing as well.
    return 'unread'
  }
}
