import type { PlayedRun } from '../../test/support/player/types.ts'
import type { ShownRun } from './read-port.ts'
import type { RelayEnd } from './relay-end.ts'

interface Step {
  name: string
  conclusion: string | null
  log: string[]
}

/** What a trial has shown. */
export interface Trial {
  workflow: string
  /** What started it. */
  started: string
  /** What the trial made up or left out, a sentence each. */
  notes: string[]
  jobs: { name: string; conclusion: string | null; steps: Step[] }[]
  conclusion: string
  /** Null where the event names no run in Port. */
  port: ShownRun | null
  /** Null where the action has ended the run in Port. */
  relay: RelayEnd | null
}

/** What the workflow did, as GitHub would show it. */
export function readPlayed({ jobs, conclusion }: PlayedRun): Pick<Trial, 'jobs' | 'conclusion'> {
  return {
    conclusion,
    jobs: jobs.map(job => ({
      name: job.name,
      conclusion: job.conclusion,
      steps: job.steps
        .filter(
          ({ kind, conclusion }) => (kind !== 'setup' && kind !== 'complete') || conclusion === 'failure',
        )
        .map(({ name, kind, conclusion, log, annotations }) => {
          const noted = annotations.map(({ level, message }) => `##[${level}]${message}`).join('\n')
          return { name, conclusion, log: withoutRunner(kind === 'post' ? noted : log) }
        }),
    })),
  }
}

/** Without the runner's own lines: the header of the step, and masks. */
function withoutRunner(log: string): string[] {
  return log
    .replace(/##\[group\][\s\S]*?##\[endgroup\]\n?/g, '')
    .replace(/^::add-mask::.*\n?/gm, '')
    .replace(/^##\[(error|warning|notice)\]/gm, '$1: ')
    .split('\n')
    .filter(line => line.trim() !== '')
}
