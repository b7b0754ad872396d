import { onTestFinished } from 'vitest'
import { type GitHubApi, startGitHubApi } from '../../simulator/github/github.ts'
import type { GitHubApiOptions } from '../../simulator/github/types.ts'
import { type PortApi, startPortApi } from '../../simulator/port/port.ts'
import type { Env } from './relay.ts'
import { SECRET } from './sign.ts'

/** Starts a fake Port and a fake GitHub, and returns the relay's variables for them. */
export async function startServices(
  options: GitHubApiOptions = {},
): Promise<{ port: PortApi; github: GitHubApi; env: Env }> {
  const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi(options)])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  const env = {
    ...{ PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token },
  }
  return { port, github, env }
}
