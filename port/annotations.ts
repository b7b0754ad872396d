import { isObject, type LogLine } from './types.ts'

export type Annotation = { path: string; line: number; level: string; message: string }

const MOST_ANNOTATIONS = 10

/** GitHub's path for an annotation without a file. */
const NO_FILE = '.github'
/** Matches the runner's annotation for a failed step. */
const EXIT_CODE = /^Process completed with exit code \d+\.$/

/** @see https://docs.github.com/rest/checks/runs#list-check-run-annotations */
export function readAnnotations(data: unknown): Annotation[] {
  if (!Array.isArray(data)) return []
  return data.filter(isObject).flatMap(({ path, start_line: line, annotation_level: level, message }) => {
    const text = typeof message === 'string' ? message.trim() : ''
    if (text === '' || EXIT_CODE.test(text)) return []
    return [{ path: String(path), line: Number(line), level: String(level), message: text }]
  })
}

export function annotationLines(
  annotations: readonly Annotation[],
  clean: (text: string) => string,
): LogLine[] {
  return annotations
    .toSorted((a, b) => RANK.indexOf(a.level) - RANK.indexOf(b.level))
    .slice(0, MOST_ANNOTATIONS)
    .map(({ path, line, level, message }) => ({
      level: level === 'failure' ? 'ERROR' : level === 'warning' ? 'WARN' : 'INFO',
      message: clean(path === NO_FILE || path === '' ? message : `${path}:${line}: ${message}`),
    }))
}

const RANK = ['failure', 'warning', 'notice']
