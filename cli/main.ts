import packageJson from '../package.json' with { type: 'json' }
import { useProxy } from '../relay/config/outgoing.ts'
import { nearestName } from '../workflow-files/nearest-name.ts'
import { overview, runCommand } from './command.ts'
import { serve } from './serve.ts'

useProxy(process.env)
const given = process.argv.slice(2)
const [name = 'serve', ...args] = given[0] === 'help' && given[1] ? [given[1], '--help'] : given
// The relay starts faster without loading the other commands.
const commands = name === serve.name ? [serve] : (await import('./commands.ts')).commands
const command = commands.find(each => each.name === name)
if (command) {
  const code = await runCommand(command, process.env, args)
  // After a failure, the process exits even if handles are open. After a success, it exits when all work is done, because `serve` must continue to run.
  if (code !== 0) process.exit(code)
} else if (['--version', '-v'].includes(name)) {
  console.log(packageJson.version)
} else if (['--help', '-h', 'help'].includes(name)) {
  console.log(overview(commands))
} else {
  const names = commands.map(each => each.name)
  const near = nearestName(name, [...names, '--help', '--version'])
  const hint = near === null ? '' : ` Did you mean ${near}?`
  console.error(`Unknown command ${JSON.stringify(name)}; commands: ${names.join(', ')}.${hint}`)
  process.exit(2)
}
