import { deliveries } from './commands/deliveries.ts'
import { migrate } from './commands/migrate.ts'
import { redeliver } from './commands/redeliver.ts'
import { serve } from './commands/serve.ts'

const commands: Record<string, (env: typeof process.env, args: string[]) => Promise<void>> = {
  serve,
  deliveries,
  redeliver,
  migrate,
}

const [name = 'serve', ...args] = process.argv.slice(2)
const command = Object.hasOwn(commands, name) ? commands[name] : undefined
if (!command) {
  console.error(`There is no command "${name}". Commands: ${Object.keys(commands).join(', ')}.`)
  process.exit(1)
}
try {
  await command(process.env, args)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
