import type { Fetch } from '../../port/client/port-client.ts'
import { type AnswerOutcome, answerOutcome } from '../http/answer-outcome.ts'
import { fetchBounded } from '../http/fetch-bounded.ts'

/** What Port's answers say of the credentials of all organisations. */
export interface PortAnswers {
  /** The `fetch` for the client of an organisation. */
  fetchFor(organisation: string): Fetch
  /** Whether Port accepted the credentials of each organisation in its last answer; null before the first. */
  isAccepted(): boolean | null
}

/** @param onRequest called with what became of each request */
export function observePort(onRequest: (outcome: AnswerOutcome) => void): PortAnswers {
  const accepted = new Map<string, boolean>()
  return {
    fetchFor: organisation => async (url, init) => {
      const answer = await fetchBounded(url, { ...init, redirect: 'manual' }).catch(error => {
        onRequest(answerOutcome(null))
        throw error
      })
      onRequest(answerOutcome(answer))
      if (answer.status === 401) accepted.set(organisation, false)
      else if (answer.ok) accepted.set(organisation, true)
      return answer
    },
    isAccepted: () => (accepted.size === 0 ? null : [...accepted.values()].every(isOk => isOk)),
  }
}
