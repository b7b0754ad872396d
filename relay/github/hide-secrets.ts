import { RequestError } from '@octokit/request-error'
import type { Credential } from './credential.ts'

/** Shorter ones would hide parts of any text. */
const SHORTEST = 6
/** The form of GitHub's tokens, including those of installations, which are not in the configuration. */
const TOKENS = /\b(gh[a-z]_\w{20,}|github_pat_\w{20,})/g

/** A credential whose errors hold no secret: GitHub, or a proxy on the way, may quote what it was sent. */
export function hideSecrets(credential: Credential, secrets: readonly string[]): Credential {
  const known = secrets.filter(secret => secret.length >= SHORTEST).sort((a, b) => b.length - a.length)
  const hide = (text: string) =>
    known.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text).replace(TOKENS, '***')

  return {
    kind: credential.kind,
    async use(repository, work) {
      try {
        return await credential.use(repository, work)
      } catch (error) {
        for (let each = error; each instanceof Error; each = each.cause) {
          const hidden = hide(each.message)
          // That of a DOMException cannot be set.
          if (hidden !== each.message) each.message = hidden
          const data = each instanceof RequestError ? each.response?.data : null
          if (hasMessage(data)) data.message = hide(data.message)
        }
        throw error
      }
    },
  }
}

const hasMessage = (data: unknown): data is { message: string } =>
  typeof (data as { message?: unknown } | null | undefined)?.message === 'string'
