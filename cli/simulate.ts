import { cleanLine } from '../port/text.ts'
import type { Delivery, DeliveryRun } from '../relay/delivery/delivery.ts'
import { decide } from '../relay/delivery/final-status.ts'
import type { SimulatedRun } from '../simulator/runner/types.ts'
import type { RelayDecisions, RelayResult } from '../simulator/simulation.ts'
import { defineCommand, JSON_OPTION, text, texts, UsageError } from './command.ts'

export const simulate = defineCommand({
  name: 'simulate',
  summary: 'Runs a workflow on this machine, and shows what Port would show.',
  options: {
    event: text('FILE', 'the body that Port sends, or an event of the relay, as JSON'),
    workflow: text('FILE', "the workflow; by default, a job that prints the action's outputs"),
    type: text('TYPE', "the event type, if the relay's configuration sets it instead of the body"),
    secret: texts('NAME=VALUE', 'a secret of the repository'),
    var: texts('NAME=VALUE', 'a variable of the repository'),
    output: texts('STEP.NAME=VALUE', 'an output of an action that is skipped'),
    json: JSON_OPTION,
  },
  details: `The command uses a fake Port and a fake GitHub, so you need no account and no token. The "run:" steps of the workflow
really run on this machine; other actions are skipped. Ctrl-C cancels the workflow run, like the button on
GitHub. The exit code is 0 if the workflow succeeded, otherwise 1.`,
  async run({ values, print }) {
    if (values.event === undefined)
      throw new UsageError('simulate needs --event FILE, the body that Port sends; see simulate --help.')
    const { event, workflow, type, secret, var: vars, output } = values
    const wrongOutput = '--output must be STEP.NAME=VALUE; STEP is the id of a step'
    const options = {
      ...{ event, workflow, type },
      secrets: pairs(secret, /^[^=]+$/, '--secret must be NAME=VALUE'),
      vars: pairs(vars, /^[^=]+$/, '--var must be NAME=VALUE'),
      outputs: pairs(output, /^[\w-]+\.[\w-]+$/, wrongOutput),
    }
    const { simulate, showSimulation } = await import('../simulator/simulate.ts')
    // The first signal cancels the workflow run; the second signal stops everything.
    const cancel = new AbortController()
    const interrupt = () => (cancel.signal.aborted ? process.exit(130) : cancel.abort())
    process.on('SIGINT', interrupt)
    try {
      const show = (line: string) => print(cleanLine(line))
      const simulation = await simulate(options, relayDecisions, values.json ? () => {} : show, cancel.signal)
      if (values.json) print(JSON.stringify(simulation, null, 2))
      else showSimulation(simulation, show)
      return simulation.conclusion === 'success' ? 0 : 1
    } finally {
      process.off('SIGINT', interrupt)
    }
  },
})

/** @param usage the error message, which must not contain the value, because the value may be a secret */
function pairs(given: string[] = [], name: RegExp, usage: string): Record<string, string> {
  return Object.fromEntries(
    given.map(pair => {
      const at = pair.indexOf('=')
      if (at < 1 || !name.test(pair.slice(0, at))) throw new UsageError(`${usage}; see simulate --help.`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

const POLICY = { serverUrl: 'https://github.com' }
/** A delivery that isn't canceled, and about which nothing was reported. */
const UNCANCELED = {
  cancelRequestedAt: null,
  reported: null,
  runs: [] as DeliveryRun[],
} as unknown as Delivery

/** Returns the relay's result for a finished workflow run whose Port run is still in progress. */
function resultOf({ jobs, conclusion }: SimulatedRun, repository: string): RelayResult {
  const seen = jobs.map(({ databaseId, name, conclusion, steps }) => ({
    id: databaseId,
    name,
    conclusion,
    ...{ runner: null, started: steps.length > 0, startedAt: null, finishedAt: null },
    steps: steps.map(step => ({
      name: step.name,
      number: step.number,
      conclusion: step.conclusion,
      finishedAt: step.completedAt ? Date.parse(step.completedAt) : null,
    })),
  }))
  const end = decide(
    { ...UNCANCELED, repository },
    { run: { conclusion } as DeliveryRun, jobs: seen },
    POLICY,
  )
  return {
    status: end.conclusion === 'success' ? 'SUCCESS' : 'FAILURE',
    label: end.label,
    sentence: end.sentence,
  }
}

/** Explains what GitHub and Port show if no workflow handles an event type. */
function nothingStarts(eventType: string): string {
  const delivery = { ...UNCANCELED, repository: 'your repository', eventType, workflow: null }
  const cause = { why: 'nothing listens' as const }
  const { label, sentence } = decide(delivery, { cause }, POLICY)
  return `On GitHub nothing would start, and after RELAY_START_TIMEOUT the relay would finish the run in Port as FAILURE, "${label}": ${sentence}`
}

const relayDecisions: RelayDecisions = { resultOf, nothingStarts }
