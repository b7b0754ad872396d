import type { ClientPayload } from '../../port/client-payload.ts'
import type { Invocation } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import type { OnAnswer } from '../http/answer-outcome.ts'
import type { Target } from '../store/delivery.ts'
import { type AnswerFacts, createAnswerFacts } from './answer-facts.ts'
import { createClockOffset } from './clock-offset.ts'
import { createCredential } from './credential.ts'
import { DelayedError, type DispatchOutcome, readDispatchError } from './dispatch-outcome.ts'
import { gatedCredential } from './gated-credential.ts'
import { hideSecrets } from './hide-secrets.ts'
import { createRateLimitGate } from './rate-limit-gate.ts'
import { type ApprovalReader, createApprovalReader } from './read-approvals.ts'
import { createJobReader, type JobReader } from './read-jobs.ts'
import { createRepositoryReader, type RepositoryReader } from './read-repository.ts'
import { createRunReader, type RunReader } from './read-runs.ts'
import { repositoryDispatchRefusal, sendRepositoryDispatch } from './repository-dispatch.ts'
import { createRunControl, type RunControl } from './run-control.ts'
import { serverUrl } from './server-url.ts'
import { createWorkflowDispatcher } from './workflow-dispatch.ts'
import { workflowRefusal } from './workflow-refusal.ts'

export interface GitHub extends RunReader, RunControl, ApprovalReader, JobReader, RepositoryReader {
  /** The address of GitHub's pages: `https://github.com`, or the server of GITHUB_API_URL. */
  serverUrl: string
  /** GitHub's clock minus the relay's, ms; null before GitHub's first answer. */
  clockOffset(): number | null
  /** What its answers show of the credential. */
  facts: Pick<AnswerFacts, 'rateLimitRemaining' | 'tokenExpiresAt' | 'isAccepted'>
  /** Asks GitHub whether it accepts the credential, which `facts` then show. */
  checkCredential(): Promise<void>
  /**
   * Sends one dispatch. It is not idempotent: where it may have started a workflow, it is never repeated.
   *
   * @param content.payload what the action reads
   * @param content.invocation what the inputs of a workflow are made of
   * @param sendBy after that, milliseconds since 1970, nothing is sent
   */
  dispatch(
    target: Target,
    content: { payload: ClientPayload; invocation: Invocation },
    sendBy?: number,
  ): Promise<DispatchOutcome>
}

/**
 * GitHub as the relay sees it, by token or as a GitHub App.
 *
 * @param options.isAllowed whether the relay may dispatch to the new name of a renamed repository; none where absent
 * @param options.secrets what GitHub's error texts must not show, beside the credential
 * @param options.onAnswer called with each answer of the API
 */
export function createGitHub(
  config: Config['github'],
  clock: () => number = Date.now,
  gate = createRateLimitGate(config.auth, clock),
  {
    isAllowed = () => false,
    secrets = [],
    onAnswer = () => {},
  }: {
    isAllowed?: (repository: string) => boolean
    secrets?: readonly string[]
    onAnswer?: OnAnswer
  } = {},
): GitHub {
  const offset = createClockOffset(clock)
  const facts = createAnswerFacts(clock)
  const direct = createCredential(config, clock, (answer, sentAt) => {
    onAnswer(answer)
    // An answer of a proxy has the time of the proxy's clock, and its own headers.
    if (!answer?.headers.has('x-github-request-id')) return
    offset.observe(answer.headers.get('date'), sentAt)
    facts.observe(answer)
  })
  const { auth, webhookSecret } = config
  const ours = ['token' in auth ? auth.token : auth.privateKey, webhookSecret ?? '', ...secrets]
  const credential = gatedCredential(hideSecrets(direct, ours), gate, clock)
  const repositories = createRepositoryReader(credential)
  const dispatchWorkflow = createWorkflowDispatcher(credential, repositories, clock)
  return {
    serverUrl: serverUrl(config.apiUrl),
    clockOffset: offset.read,
    facts,
    checkCredential: direct.check,
    ...createRunReader(credential),
    ...createRunControl(credential, { mayPost() {}, isAllowed }),
    ...createApprovalReader(credential),
    ...createJobReader(credential),
    ...repositories,
    async dispatch({ repository, eventType: type, workflow, ref }, content, sendBy = Infinity) {
      const eventType = type ?? ''
      const mayPost = () => {
        if (clock() > sendBy) throw new DelayedError()
      }
      const policy = { mayPost, isAllowed }
      let outcome: DispatchOutcome
      try {
        outcome =
          workflow === null
            ? await credential.use(repository, octokit =>
                sendRepositoryDispatch(octokit, { repository, eventType }, content.payload, policy),
              )
            : await dispatchWorkflow({ repository, workflow, ref }, content, policy)
      } catch (error) {
        outcome = readDispatchError(error, {
          repository,
          now: clock(),
          refusal: (status, message) =>
            workflow === null
              ? repositoryDispatchRefusal(status, message, { repository, eventType })
              : workflowRefusal(
                  status,
                  message,
                  { repository, workflow, ref: ref ?? 'the default branch' },
                  {},
                ),
        })
      }
      // GitHub limits writes separately from reads: only a dispatch shows that dispatches are accepted again.
      if (outcome.kind === 'accepted' || outcome.kind === 'rejected') gate.reopen(repository)
      if (outcome.kind !== 'deferred' || outcome.cause !== 'rate_limit') return outcome
      return { ...outcome, until: gate.closed(repository)?.closedUntil ?? outcome.until }
    },
  }
}
