import type { Runner } from './runner.ts'

/** The headings of docs/errors.md. */
export type Topic =
  | 'inputs'
  | 'runner'
  | 'credentials'
  | 'payload'
  | 'large-payloads'
  | 'secret-inputs'
  | 'outputs'
  | 'duplicates'
  | 'matrix'
  | 'first-step'
  | 'steps'
  | 'port-log'
  | 'port-run'
  | 'entities'
  | 'port'

const PAGE = 'docs/errors.md'

/**
 * The end of a message that somebody has to act on: where to read more. The page is that of the release in use;
 * where the action is used by path, it is in the same repository. On an Enterprise Server the runner does not show
 * whether it found the action there or on github.com, where each is that GitHub Connect brings; a copy made by
 * actions-sync has the same name.
 */
export function help(env: Runner['env'], topic: Topic): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `${PAGE}#${topic}`
  return ` See ${repository ? `https://github.com/${repository}/blob/${ref || 'main'}/${page}` : page}`
}

/** Whether a message has such an end already. */
export const isExplained = (message: string): boolean => message.includes(`${PAGE}#`)
