/**
 * `npm run check`: runs every `check:…` script of package.json at the same time, because most of them use one core.
 * Prints the output of each script when the script ends. Exits with 1 if a script fails.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import manifest from '../package.json' with { type: 'json' }

async function run([name, command]: [string, string]): Promise<boolean> {
  const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const [[code, signal], ...output] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ])
  process.stdout.write(`${name}${code === 0 ? '' : ` failed (${signal ?? code})`}\n${output.join('')}`)
  return code === 0
}

const checks = Object.entries(manifest.scripts).filter(([name]) => name.startsWith('check:'))
const passed = await Promise.all(checks.map(run))
process.exitCode = passed.includes(false) ? 1 : 0
