import { ConfigError, readConfig } from '../../relay/config/config.ts'

/** Returns every problem of a configuration. */
export function configProblems(...given: Parameters<typeof readConfig>): string[] {
  try {
    readConfig(...given)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}
