/** What became of a request to Port or GitHub. */
export type AnswerOutcome = 'ok' | 'rejected' | 'unauthorized' | 'limited' | 'error' | 'unreachable'

export const ANSWER_OUTCOMES: readonly AnswerOutcome[] = [
  'ok',
  'rejected',
  'unauthorized',
  'limited',
  'error',
  'unreachable',
]

/** Called with each answer; null where none came. */
export type OnAnswer = (answer: Pick<Response, 'status' | 'headers'> | null) => void

/**
 * - `unauthorized`: the credential is not accepted (401)
 * - `limited`: too many requests (429, or GitHub's 403 for it)
 * - `rejected`: any other 4xx
 * - `error`: 5xx
 * - `unreachable`: no answer
 */
export function answerOutcome(answer: Parameters<OnAnswer>[0]): AnswerOutcome {
  if (answer === null) return 'unreachable'
  const { status, headers } = answer
  const isLimit =
    status === 429 ||
    (status === 403 && (headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0'))
  if (isLimit) return 'limited'
  if (status === 401) return 'unauthorized'
  if (status >= 500) return 'error'
  return status >= 400 ? 'rejected' : 'ok'
}
