import { importSPKI, jwtVerify } from 'jose'
import { refuse } from './errors.ts'
import type { GitHubState, Grant } from './state.ts'
import type { Access, GitHubApp, Permissions, Repository } from './types.ts'

const RANK: Record<Access, number> = { none: 0, read: 1, write: 2 }

/** The grant behind `Authorization: token …` or `Bearer …`, or GitHub's refusal. */
export function authenticate(state: GitHubState, authorization: string | undefined): Grant | Response {
  const token = bearer(authorization)
  if (!token) return refuse(401, 'Requires authentication')
  const grant = state.grants.get(token)
  if (!grant || (grant.expiresAt ?? Number.POSITIVE_INFINITY) <= Date.now())
    return refuse(401, 'Bad credentials')
  return grant
}

/** What a grant may do in a repository: the lower of what the token and what the repository allow. */
export function permissionsIn(grant: Grant, repository: Repository): Required<Permissions> {
  const lower = (name: keyof Permissions): Access => {
    const theirs = grant.permissions ? (grant.permissions[name] ?? 'none') : 'write'
    const here = grant.kind === 'personal' ? (repository.permissions[name] ?? 'none') : 'write'
    return RANK[theirs] < RANK[here] ? theirs : here
  }
  return { actions: lower('actions'), contents: lower('contents'), metadata: 'read' }
}

/** The repository, if the grant sees it and may do what `needs` says; else 404 or 403 as GitHub answers. */
export function openRepository(
  state: GitHubState,
  grant: Grant,
  fullName: string,
  needs?: ['actions' | 'contents', Access],
): Repository | Response {
  const repository = state.repositories.get(fullName.toLowerCase())
  const listed =
    !grant.repositories || grant.repositories.some(name => name.toLowerCase() === fullName.toLowerCase())
  // To a token that may not see it, a repository does not exist.
  if (!repository || !listed) return refuse(404, 'Not Found')
  if (!needs) return repository
  const [name, access] = needs
  if (RANK[permissionsIn(grant, repository)[name]] >= RANK[access]) return repository
  const whose = grant.kind === 'personal' ? 'personal access token' : 'integration'
  return refuse(403, `Resource not accessible by ${whose}`, undefined, {
    'x-accepted-github-permissions': `${name}=${access}`,
  })
}

/** The App whose JWT this is: RS256, `iss` its id or client id, alive for ten minutes at most. */
export async function authenticateApp(
  state: GitHubState,
  authorization: string | undefined,
): Promise<GitHubApp | Response> {
  const token = bearer(authorization) ?? ''
  for (const app of state.apps) {
    try {
      const key = await importSPKI(app.publicKey, 'RS256')
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['RS256'],
        requiredClaims: ['iat', 'exp'],
      })
      // Octokit sends `iss` as a number where the id is one, against the standard; GitHub takes it.
      if (![String(app.id), app.clientId].includes(String(payload.iss))) continue
      if ((payload.exp as number) - Date.now() / 1000 > 600) {
        return refuse(401, "'Expiration time' claim ('exp') is too far in the future")
      }
      return app
    } catch {}
  }
  return refuse(401, 'A JSON web token could not be decoded')
}

const bearer = (authorization = '') => /^(?:token|bearer) (\S+)$/i.exec(authorization)?.[1]
