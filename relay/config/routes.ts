import picomatch from 'picomatch'
import { parse } from 'yaml'
import { z } from 'zod'
import { globProblem, isExclusion } from './values.ts'

export const DEFAULT_EVENT_TYPE = 'port_action'
export const EVENT_TYPE_RULE = 'must be 1 to 100 characters on one line, and not blank'

const glob = z.string().superRefine((text, ctx) => {
  const problem = globProblem(text)
  if (problem) ctx.addIssue(problem)
})
export const WORKFLOW_RULE =
  'must be the name of a file in .github/workflows, such as deploy.yml, or the id of a workflow'
export const REF_RULE = 'must be the name of a branch or tag'
export const EXCLUSIVE = 'event_type and workflow exclude each other: keep one'
export const REF_NEEDS_WORKFLOW =
  'ref needs workflow: a repository_dispatch always runs on the default branch'

export const isEventType = (text: string): boolean =>
  text.trim() !== '' && text.length <= 100 && !/[\p{Cc}\p{Cs}]/u.test(text)

/** Whether a text is a workflow's file name or its decimal id. */
export const isWorkflow = (text: string): boolean =>
  /^\d{1,18}$/.test(text) || (text.length <= 200 && /^[^/\\\p{Cc}\p{Cs}]+\.ya?ml$/u.test(text))

/** Whether a text is the name of a branch or tag, or a full ref such as `refs/heads/main`. @see https://git-scm.com/docs/git-check-ref-format */
export const isRef = (text: string): boolean =>
  text.length <= 250 && /^[^\s~^:?*[\\\p{Cc}\p{Cs}]+$/u.test(text) && !/\.\.|@\{|^[/-]|[/.]$/.test(text)

/**
 * Whether a text is `owner/name` according to GitHub's rule. The names `.` and `..` are invalid, because they would
 * change the path. Names that end in `.git` are invalid, because GitHub's API ignores this ending.
 */
export const isRepository = (text: string): boolean =>
  /^[a-z0-9][a-z0-9_-]{0,99}\/(?!\.{1,2}$)(?!.*\.git$)[a-z0-9._-]{1,100}$/i.test(text)

const rule = z
  .strictObject({
    match: z
      .strictObject({ action: glob.optional(), blueprint: glob.optional(), operation: glob.optional() })
      .default({}),
    repository: z.string().refine(isRepository, 'must be owner/name'),
    event_type: z.string().refine(isEventType, EVENT_TYPE_RULE).optional(),
    // YAML parses a numeric id as a number.
    workflow: z.preprocess(
      value => (Number.isSafeInteger(value) ? String(value) : value),
      z.string().refine(isWorkflow, WORKFLOW_RULE).optional(),
    ),
    ref: z.string().refine(isRef, REF_RULE).optional(),
    rerun: z.literal('lost-runner', 'must be "lost-runner"').optional(),
  })
  .refine(route => route.event_type === undefined || route.workflow === undefined, EXCLUSIVE)
  .refine(route => route.ref === undefined || route.workflow !== undefined, REF_NEEDS_WORKFLOW)
/** A route of `RELAY_ROUTES`. The first route whose globs all match sets the target. */
export type Route = z.output<typeof rule>

const file = z.array(rule, 'must be a list of routes, each with a repository and an optional match')

/**
 * Parses the routes file, a YAML list of `{ match: { action, blueprint, operation }, repository, event_type | workflow,
 * ref, rerun }`. Adds problems to `problems`.
 */
export function readRoutes(path: string, readFile: (path: string) => string, problems: string[]): Route[] {
  try {
    const checked = file.safeParse(parse(readFile(path).replace(/^\ufeff/, '')))
    if (checked.success) return checked.data
    problems.push(
      ...checked.error.issues.map(issue => `RELAY_ROUTES: ${path}${where(issue.path)} ${issue.message}`),
    )
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    problems.push(
      code?.startsWith('E')
        ? `RELAY_ROUTES: ${path} can't be read (${code})`
        : `RELAY_ROUTES: ${path} isn't YAML: ${message.split('\n')[0]!.replace(/:$/, '')}`,
    )
  }
  return []
}

/**
 * Creates a function that matches names against globs. Ignores case, as GitHub does. A name that matches a `!glob` is
 * always excluded. An empty list matches nothing.
 */
export function matcher(globs: string[]): (name: string) => boolean {
  // Exclusions are matched separately: in a list, picomatch treats `!a/b` as "every name except a/b", which would allow
  // too many names. Without `posix`, picomatch treats the `!` in `[!a]` as a literal character.
  const matchesAny = (some: string[]) =>
    some.length > 0 ? picomatch(some, { nocase: true, dot: true, posix: true }) : () => false
  const included = matchesAny(globs.filter(glob => !isExclusion(glob)))
  const excluded = matchesAny(globs.filter(isExclusion).map(glob => glob.slice(1)))
  return name => included(name) && !excluded(name)
}

function where([index, ...rest]: PropertyKey[]): string {
  return index === undefined ? '' : [`, route ${Number(index) + 1}`, ...rest.map(String)].join(' ')
}
