import { readFileSync } from 'node:fs'
import { cleanLine } from '../port/text.ts'
import { type Config, ConfigError, readConfig } from '../relay/config/config.ts'
import { isRepository } from '../relay/config/routes.ts'
import { type Color, defineCommand, flag, JSON_OPTION, text, texts, UsageError } from './command.ts'
import { agent } from './doctor/agent.ts'
import { type Check, type CheckDeps, type Finding, problem } from './doctor/check.ts'
import { checkQuotes, configuration, database } from './doctor/configuration.ts'
import { github, port } from './doctor/credentials.ts'
import { portActionCheck, recentDeliveries } from './doctor/inputs.ts'
import { alert, oidcIssuer, proxy, relay } from './doctor/network.ts'
import { ANYTHING, readFailures, repositoryChecks } from './doctor/repositories.ts'
import { refusedWebhooks, stored } from './doctor/state.ts'

type Named = Finding & { check: string }

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Checks the configuration, and whether everything that the relay needs works.',
  options: {
    repository: texts('OWNER/NAME', 'also check this repository'),
    'port-action': text(
      'FILE',
      'also compare this Port action (JSON, as Port exports it) with the workflow that it starts',
    ),
    alert: flag('also send a test alert to RELAY_ALERT_URL'),
    json: JSON_OPTION,
  },
  details: "The exit code is 1 if a check finds a problem. Warnings don't change the exit code.",
  async run({ env, values, print, color }) {
    const { 'port-action': file, repository: repositories = [] } = values
    const wrong = repositories.find(name => !isRepository(name))
    if (wrong !== undefined)
      throw new UsageError(`--repository must be OWNER/NAME, not ${JSON.stringify(wrong)}.`)
    const findings = await diagnose(
      { env, clock: Date.now, fetch, readFile: path => readFileSync(path, 'utf8') },
      {
        repositories,
        checks: [...(file === undefined ? [] : [portActionCheck(file)]), ...(values.alert ? [alert] : [])],
      },
    )
    const count = (status: Finding['status']) => findings.filter(each => each.status === status).length
    const [problems, warnings] = [count('problem'), count('warning')]
    if (values.json) print(JSON.stringify({ ok: problems === 0, findings }))
    else {
      const width = Math.max(...findings.map(({ check }) => check.length))
      for (const { status, check, sentence } of findings)
        print(`${color(COLORS[status], status.padEnd(7))}  ${check.padEnd(width)}  ${cleanLine(sentence)}`)
      print(problems + warnings === 0 ? 'Everything works.' : `Problems: ${problems}, warnings: ${warnings}.`)
    }
    return problems > 0 ? 1 : 0
  },
})

const COLORS: Record<Finding['status'], Color> = { ok: 'green', warning: 'yellow', problem: 'red' }

/** Runs all checks one after another. If the configuration is invalid, reports only its problems. */
export async function diagnose(
  deps: Omit<CheckDeps, 'config' | 'failed'>,
  more: { repositories: string[]; checks: Check[] } = { repositories: [], checks: [] },
): Promise<Named[]> {
  const names = checkQuotes(deps.env)
  const found: Named[] = names.map(({ status, sentence }) => ({ check: 'configuration', status, sentence }))
  let config: Config
  try {
    config = readConfig(deps.env, deps.readFile)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    // A problem of a variable in quotes is omitted, because the finding about the quotes explains it.
    const others = error.problems.filter(text => !names.some(({ name }) => text.startsWith(`${name} `)))
    return [
      ...found,
      ...others.map(text => ({ check: 'configuration', ...problem(text.replace(/(?<![.?])$/, '.')) })),
    ]
  }
  for (const check of [
    configuration,
    proxy,
    database,
    port,
    agent,
    github,
    ...repositoryChecks(config, [
      ...more.repositories.map(repository => ({ ...ANYTHING, repository })),
      ...(await readFailures(config, deps.clock())),
    ]),
    stored,
    recentDeliveries,
    ...more.checks,
    relay,
    refusedWebhooks,
    oidcIssuer,
  ]) {
    const failed = found.flatMap(({ check, status }) => (status === 'problem' ? check : []))
    const run = async () => check.run({ ...deps, config, failed })
    const findings = await run().catch(error => [problem(error.message)])
    found.push(...findings.flatMap(finding => (finding ? [{ check: check.name, ...finding }] : [])))
  }
  return found
}
