import type { createAppAuth } from '@octokit/auth-app'
import type { Octokit } from '@octokit/rest'

interface Loaded {
  Octokit: typeof Octokit
  createAppAuth: typeof createAppAuth
}

let loading: Promise<Loaded> | undefined

/** GitHub's client, which takes longer to load than the rest of the start together: loaded when it is first needed. */
export function loadOctokit(): Promise<Loaded> {
  loading ??= Promise.all([import('@octokit/rest'), import('@octokit/auth-app')]).then(
    ([{ Octokit }, { createAppAuth }]) => ({ Octokit, createAppAuth }),
  )
  return loading
}
