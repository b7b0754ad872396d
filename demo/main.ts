/**
 * `npm run demo`: the whole loop on this machine. Port and GitHub are stand-ins; the relay, the action and the
 * workflow are the real ones, each in processes of their own.
 */
import { parseArgs } from 'node:util'
import { acts } from './acts.ts'
import { openStage, REPOSITORY } from './open-stage.ts'
import { playAct } from './play-act.ts'
import type { LogLine } from './start-relay.ts'
import { createTimeline } from './timeline.ts'

const USAGE = `npm run demo [-- [--oidc] [--relay NAME=VALUE …]]

  --oidc               the workflow has no secret of Port: it reports through the relay, and proves itself with
                       GitHub's OIDC token
  --relay NAME=VALUE   set a variable of the relay, to see what happens when it is wrong:
                       npm run demo -- --relay PORT_CLIENT_SECRET=wrong`

const { oidc, settings } = readArguments()
const interrupted = new AbortController()
// More than once: npm sends its children what the terminal has sent them already.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Error(`Interrupted by ${signal}.`)))
}
const timeline = createTimeline(process.stdout)
try {
  process.exitCode = (await play()) ? 0 : 1
} catch (error) {
  const { message } = interrupted.signal.aborted ? interrupted.signal.reason : (error as Error)
  timeline.say(['', message])
  process.exitCode = 1
}

async function play(): Promise<boolean> {
  const stage = await openStage({ oidc, settings, hear })
  const problems: string[] = []
  try {
    timeline.say([
      'From Port to GitHub and back, on this machine',
      '',
      `  Port    ${stage.port.url}  a stand-in for Port's API`,
      `  relay   ${stage.relay.url}  relay/main.ts, process ${stage.relay.pid}, SQLite in ${stage.folder}`,
      `  GitHub  ${stage.github.url}  a stand-in for GitHub's API, with the repository ${REPOSITORY}`,
      `  runner  ${stage.workflow} with the built action, action/dist`,
      oidc
        ? '          It has no secret of Port: it reports through the relay, and proves itself by OIDC'
        : "          It reports straight to Port, with the organisation's client secret",
    ])
    for (const act of acts) {
      problems.push(...(await playAct(act, stage, timeline, interrupted.signal)))
    }
  } finally {
    await stage.close()
  }
  const verdict =
    problems.length === 0
      ? [
          `${acts.length} of ${acts.length} runs ended in Port as they should. Everything is stopped, and nothing is left behind.`,
        ]
      : ['Not as it should be:', ...problems.map(problem => `  ${problem}`)]
  timeline.say(['', ...verdict])
  return problems.length === 0
}

/** What of the relay's log belongs on the timeline. */
function hear({ time, msg, delivery = '', github_run }: LogLine): void {
  if (msg !== 'run started') return
  const what = `finds GitHub's OIDC token of run ${github_run} right, and takes its reports`
  timeline.add({ at: time, who: 'relay', id: delivery.slice(0, 18), what })
}

function readArguments(): { oidc: boolean; settings: Record<string, string> } {
  try {
    const { values } = parseArgs({
      options: {
        oidc: { type: 'boolean', default: false },
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
    return { oidc: values.oidc, settings }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    process.exit(1)
  }
}
