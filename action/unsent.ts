import { readRemaining } from './remaining.ts'
import { claimReport } from './runner/files.ts'
import { readInputs } from './runner/inputs.ts'
import { help, type Runner, type Unreported } from './runner/runner.ts'

/** Runs in post if the job can't report: names what steps wrote for Port and the action can't send. */
export async function warnUnsent({ files, decides }: Unreported, runner: Runner): Promise<void> {
  const { core, env } = runner
  const { failOnReportError } = readInputs(core.getInput, env)
  const { lines, entities, run, problems } = await readRemaining(files, runner)
  // Another step of this job reports, or has printed the warning.
  if (claimReport(files.log, 'off') !== null) return
  const texts = lines.filter(line => line.trim() !== '').length
  const entries = Object.entries({
    'status-label': run.statusLabel,
    link: run.links,
    summary: run.summary,
    output: Object.keys(run.outputs),
    conclusion: run.conclusion ?? '',
  }).flatMap(([name, value]) => (value.length > 0 ? [name] : []))
  const written = [
    ...(texts > 0 ? [`${texts === 1 ? '1 line' : `${texts} lines`} of $PORT_LOG`] : []),
    ...(entities.documents.length > 0 ? ['$PORT_ENTITIES'] : []),
    ...(entries.length > 0 ? [`$PORT_RUN (${entries.join(', ')})`] : []),
  ]
  const unsent =
    written.length > 0 ? [`These texts of steps weren't sent to Port: ${written.join('; ')}.`] : []
  const sentences = [...unsent, ...problems.map(({ sentence }) => sentence)]
  if (sentences.length === 0) return
  const fails = decides && run.conclusion !== null && run.conclusion !== 'success'
  if (fails) sentences.push(FAILS)
  const message = sentences.join(' ') + help(env, 'credentials')
  if (fails || failOnReportError) core.setFailed(message)
  else core.warning(message)
}

const FAILS =
  'The job fails, because "conclusion" in $PORT_RUN isn\'t success, and the run in Port would otherwise succeed.'
