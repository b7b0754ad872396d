/**
 * `npm run demo`: runs the whole loop on this machine. Port and GitHub are fakes. The relay, the action, and the
 * workflow are real and run in separate processes.
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { acts } from './acts.ts'
import { REPOSITORY, type System, startSystem } from './open-system.ts'
import { readAction, runAct } from './run-act.ts'
import { simulateDispatch } from './simulate-dispatch.ts'
import type { LogLine } from './start-relay.ts'
import { createTimeline } from './timeline.ts'

const USAGE = `npm run demo [-- [--oidc] [--open] [--relay NAME=VALUE …]]

  --oidc               no workflow has Port credentials: all report through the relay, authenticated by
                       GitHub's OIDC token
  --open               keeps the relay, its dashboard, and the fake Port running for your browser
  --relay NAME=VALUE   sets a variable of the relay, for example to a wrong value:
                       npm run demo -- --relay PORT_CLIENT_SECRET=wrong`

const BINDINGS: Record<string, (run: number) => string> = {
  response: run => `binds run ${run}, which GitHub's response identifies`,
  report: run => `verifies GitHub's OIDC token of run ${run}, accepts its reports`,
  port: run => `binds run ${run}, which Port's run identifies`,
  title: run => `binds run ${run}, whose title has the id of Port's run`,
  candidate: run => `binds run ${run}, the only candidate`,
}

const { oidc, open, settings } = readArguments()
const interrupted = new AbortController()
// Doesn't use `once`, because both the terminal and npm send the signal.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Error(`Interrupted by ${signal}.`)))
}
const timeline = createTimeline(process.stdout)
try {
  process.exitCode = (await simulate()) ? 0 : 1
} catch (error) {
  const { message } = interrupted.signal.aborted ? interrupted.signal.reason : (error as Error)
  timeline.print(['', message])
  process.exitCode = 1
}

async function simulate(): Promise<boolean> {
  const system = await startSystem({ oidc, settings, onLog })
  const problems: string[] = []
  try {
    timeline.print([
      'From Port to GitHub and back, on this machine',
      '',
      `  Port    ${system.port.url}  a fake of Port's API`,
      `  relay   ${system.relay.url}  cli/main.ts, process ${system.relay.pid}, SQLite in ${system.folder}`,
      `  GitHub  ${system.github.url}  a fake of GitHub's API, with the repository ${REPOSITORY}`,
      `  runner  ${system.workflows.deploy}, ${system.workflows.report},`,
      `          ${system.workflows.preview}, and ${system.workflows.release},`,
      '          with the built action, action/dist',
      oidc
        ? '          No workflow has Port credentials: all report through the relay, authenticated by OIDC'
        : '          They report directly to Port with the client secret. Acts two and three report through the relay by OIDC',
    ])
    for (const act of acts) {
      problems.push(...(await runAct(act, system, timeline, interrupted.signal)))
    }
    if (open) await keepOpen(system)
  } finally {
    await system.close()
  }
  const verdict =
    problems.length === 0
      ? [
          `${acts.length} of ${acts.length} runs ended in Port as expected. All processes are stopped, and no file is left.`,
          'Next: npm run demo -- --open, to press the buttons yourself, or docs/tutorial.md, to connect your own Port and GitHub.',
        ]
      : ['Not as expected:', ...problems.map(problem => `  ${problem}`)]
  timeline.print(['', ...verdict])
  return problems.length === 0
}

/** Lets a user run the acts' actions in a browser until the user interrupts the demo. */
async function keepOpen(system: System): Promise<void> {
  await system.restartRelay({})
  const { port, relay, adminToken } = system
  const buttons = acts.filter(act => !act.action.endsWith('workflow.json') && (!act.query || act.query.ref))
  // Keeps the first act of each action.
  const byAction = new Map(buttons.toReversed().map(act => [act.action, act]))
  port.openPage({
    buttons: await Promise.all(
      [...byAction.values()].toReversed().map(async act => ({ ...act, action: await readAction(act) })),
    ),
    relay: () => system.relay.url,
  })
  timeline.start('In your browser, until you press Ctrl-C')
  timeline.print([`  Port       ${port.url}`, `  Dashboard  ${relay.url}  the token is ${adminToken}`, ''])
  const playing = simulateDispatch(system, timeline, interrupted.signal, true)
  if (!interrupted.signal.aborted) await once(interrupted.signal, 'abort')
  await playing.end().catch(() => {})
}

/** Adds to the timeline which workflow run the relay binds to a delivery, and the evidence for it. */
function onLog({ time, delivery = '', github_run_id, evidence }: LogLine): void {
  const how = evidence && BINDINGS[evidence]
  if (!how) return
  const what = `${how(github_run_id ?? 0)}\nevidence: ${evidence}`
  timeline.add({ at: time, who: 'relay', id: delivery.slice(0, 18), what })
}

function readArguments(): { oidc: boolean; open: boolean; settings: Record<string, string> } {
  try {
    const { values } = parseArgs({
      options: {
        oidc: { type: 'boolean', default: false },
        open: { type: 'boolean', default: false },
        relay: { type: 'string', multiple: true, default: [] },
      },
    })
    const settings = Object.fromEntries(
      values.relay.map(setting => {
        const [, name, value] = /^(\w+)=(.*)$/s.exec(setting) ?? []
        if (!name) throw new Error(`--relay takes NAME=VALUE, not "${setting}".`)
        return [name, value!]
      }),
    )
    return { oidc: values.oidc, open: values.open, settings }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    process.exit(1)
  }
}
