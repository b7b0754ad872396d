import packageJson from '../package.json' with { type: 'json' }
import { cancel } from './commands/cancel.ts'
import { overview, runCommand } from './commands/command.ts'
import { deliveries } from './commands/deliveries.ts'
import { doctor } from './commands/doctor.ts'
import { generate } from './commands/generate.ts'
import { migrate } from './commands/migrate.ts'
import { play } from './commands/play.ts'
import { redeliver } from './commands/redeliver.ts'
import { send } from './commands/send.ts'
import { serve } from './commands/serve.ts'
import { useProxy } from './http/use-proxy.ts'

const commands = [serve, doctor, send, deliveries, redeliver, cancel, generate, migrate, play]

useProxy(process.env)
const [name = 'serve', ...args] = process.argv.slice(2)
const command = commands.find(each => each.name === name)
if (command) {
  const code = await runCommand(command, process.env, args)
  // `serve` keeps the process running; a command that failed may have left something open.
  if (code !== 0) process.exit(code)
} else if (name === '--version') {
  console.log(packageJson.version)
} else if (name === '--help' || name === 'help') {
  console.log(overview(commands))
} else {
  const names = commands.map(each => each.name).join(', ')
  console.error(`There is no command ${JSON.stringify(name)}; commands: ${names}.`)
  process.exit(2)
}
