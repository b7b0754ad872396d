import type { OidcRun } from '../../simulator/github/oidc-issuer.ts'
import type { System } from '../reports/open-stage.ts'
import { encryptWith } from './encrypt.ts'
import { openRunner } from './open-runner.ts'

export const SECRET_INPUT = 'pa55-of-the-database'

/** Delivers an invocation with a secret input and these inputs. */
export const deliver = (system: System, inputs: Record<string, string> = {}) =>
  system.deliver({
    body: {
      action: { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['password'] },
      inputs: { version: '1.4.2', password: encryptWith(system.port.clientSecret, SECRET_INPUT), ...inputs },
    },
  })

/** Opens a job that can request OIDC tokens. */
export function openJob(
  system: System,
  payload: unknown,
  inputs: Record<string, string> = {},
  run: Partial<OidcRun> = {},
) {
  const idToken = system.issuer.runner(system.run(run))
  return openRunner(
    { port: system.port, github: system.github, payload },
    // GitHub doesn't know the run of this job.
    { 'port-client-id': '', 'port-client-secret': '', report: 'job', ...inputs },
    { ACTIONS_ID_TOKEN_REQUEST_URL: idToken.url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: idToken.requestToken },
  )
}

/** Removes the runner's token, as in a job without "id-token: write". */
export const NO_TOKEN = { ACTIONS_ID_TOKEN_REQUEST_URL: '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: '' }
