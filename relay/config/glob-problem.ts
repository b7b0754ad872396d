import picomatch from 'picomatch'
import { isExclusion } from './is-exclusion.ts'

/**
 * What is wrong with a glob, as a clause that follows its name; null where nothing is.
 *
 * @param options.repositories whether it is of names `owner/name`, where `!` in front takes names out
 */
export function globProblem(glob: string, options: { repositories?: boolean } = {}): string | null {
  const pattern = options.repositories && isExclusion(glob) ? glob.slice(1) : glob
  // picomatch treats it as a literal character there, so names that were to be excluded would be included.
  if (pattern.includes('{') && /[{,]!(?!\()/.test(pattern)) {
    return 'has a "!" within braces, where it excludes nothing: write the exclusion as a glob of its own, such as !acme/secret'
  }
  if (options.repositories && !mayMatchRepository(pattern)) {
    return 'matches no repository: it must be owner/name, with globs in it such as acme/* or */*'
  }
  try {
    picomatch.makeRe(pattern, { strictBrackets: true, posix: true })
  } catch (error) {
    return pattern === '' ? 'must not be empty' : `is not a glob: ${(error as Error).message}`
  }
  return null
}

/** Mistakes of writing only: an address, an owner alone, one star. */
function mayMatchRepository(pattern: string): boolean {
  if (/\s|:|^!|^\/|\/$/.test(pattern)) return false
  const parts = pattern.split('/')
  if (parts.includes('**')) return true
  return /[{(]/.test(pattern) ? parts.length > 1 : parts.length === 2
}
