/**
 * `npm run action -- --event FILE [--workflow FILE]`: plays your workflow on this machine, against
 * stand-ins of Port and GitHub, and prints what Port would show. Nothing leaves the machine but what the
 * workflow's own `run:` steps send.
 */
import { playTrial } from './trial/play-trial.ts'

// Once cancels the workflow run, as the button on GitHub does; twice ends everything.
const cancel = new AbortController()
process.on('SIGINT', () => (cancel.signal.aborted ? process.exit(130) : cancel.abort()))
try {
  process.exitCode = await playTrial(process.argv.slice(2), line => console.log(line), cancel.signal)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
