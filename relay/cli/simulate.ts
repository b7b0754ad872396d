import { defineCommand, JSON_OPTION, UsageError } from './command.ts'

export const simulate = defineCommand({
  name: 'play',
  summary: 'Plays a workflow that uses the action on this machine, and shows what Port would show.',
  options: {
    event: {
      type: 'string',
      value: 'FILE',
      help: 'the body that Port sends, or an event of the relay, as JSON',
    },
    workflow: {
      type: 'string',
      value: 'FILE',
      help: "the workflow; without it, a job that prints the action's outputs",
    },
    type: {
      type: 'string',
      value: 'TYPE',
      help: "the event type, where the relay's configuration sets it, not the body",
    },
    secret: { type: 'string', multiple: true, value: 'NAME=VALUE', help: 'a secret of the repository' },
    var: { type: 'string', multiple: true, value: 'NAME=VALUE', help: 'a variable of the repository' },
    output: {
      type: 'string',
      multiple: true,
      value: 'STEP.NAME=VALUE',
      help: 'an output of an action that is left out',
    },
    json: JSON_OPTION,
  },
  details: `Stand-ins take the place of Port and GitHub: no account and no token is needed. The workflow's "run:" steps really run,
on this machine; actions of others are left out. Ctrl-C cancels the workflow run, as the button on GitHub does. The
exit code is 0 where the workflow succeeded, else 1.`,
  async run({ values, print }) {
    if (values.event === undefined)
      throw new UsageError('play needs --event FILE, the body that Port sends; see play --help.')
    const options = {
      event: values.event,
      workflow: values.workflow,
      type: values.type,
      secrets: pairs(values.secret, /^[^=]+$/, '--secret takes NAME=VALUE'),
      vars: pairs(values.var, /^[^=]+$/, '--var takes NAME=VALUE'),
      outputs: pairs(
        values.output,
        /^[\w-]+\.[\w-]+$/,
        '--output takes STEP.NAME=VALUE, with the id of a step',
      ),
    }
    // The player and the stand-ins are not the relay's: they are a bundle of their own, see build.ts.
    const { simulate, showSimulation } = await import('../../tools/simulator/simulate.ts')
    // Once cancels the workflow run; twice ends everything.
    const cancel = new AbortController()
    const interrupt = () => (cancel.signal.aborted ? process.exit(130) : cancel.abort())
    process.on('SIGINT', interrupt)
    try {
      const simulation = await simulate(options, values.json ? () => {} : print, cancel.signal)
      if (values.json) print(JSON.stringify(simulation, null, 2))
      else showSimulation(simulation, print)
      return simulation.conclusion === 'success' ? 0 : 1
    } finally {
      process.off('SIGINT', interrupt)
    }
  },
})

/** @param usage never followed by what was given, which may be a secret */
function pairs(given: string[] = [], name: RegExp, usage: string): Record<string, string> {
  return Object.fromEntries(
    given.map(pair => {
      const at = pair.indexOf('=')
      if (at < 1 || !name.test(pair.slice(0, at))) throw new UsageError(`${usage}; see play --help.`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
