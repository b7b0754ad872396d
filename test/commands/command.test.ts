import { describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { defineCommand, runCommand } from '../../relay/cli/command.ts'
import { deliveries } from '../../relay/cli/deliveries.ts'
import { doctor } from '../../relay/cli/doctor.ts'
import { generate } from '../../relay/cli/generate.ts'
import { migrate } from '../../relay/cli/migrate.ts'
import { cancel, redeliver } from '../../relay/cli/redeliver.ts'
import { send } from '../../relay/cli/send.ts'
import { serve } from '../../relay/cli/serve.ts'
import { setup } from '../../relay/cli/setup.ts'
import { simulate } from '../../relay/cli/simulate.ts'
import { createLog, forTerminal } from '../../relay/log.ts'
import { runRelay } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const commands = [serve, doctor, send, deliveries, redeliver, cancel, setup, generate, migrate, simulate]

describe.each(commands.map(command => ({ name: command.name, command })))('$name', ({ name, command }) => {
  test('prints its summary and all its options for --help', async () => {
    const { code, stdout, stderr } = await run(command, ['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.split('\n')[0]).toMatch(new RegExp(`^port-webhook-relay ${name} `))
    expect(stdout).toContain(command.summary)
    for (const option of Object.keys(command.options)) expect(stdout).toContain(`--${option} `)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })

  test('prints one message and exits with 2 for wrong arguments', async () => {
    expect(await run(command, ['--nonsense'])).toEqual({
      code: 2,
      stdout: '',
      stderr: `${name} has no option --nonsense; see ${name} --help.`,
    })
    expect((await run(command, ['-h'])).stdout).toBe((await run(command, ['--help'])).stdout)
    if (command.positionals?.some(each => each.endsWith('…'))) return
    expect(await run(command, ['a', 'b', 'c'])).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        new RegExp(`^${name} does not take the argument "[abc]"; see ${name} --help\\.$`),
      ),
    })
  })
})

test('reports an option whose value is missing, and a value for an option that accepts none', async () => {
  const wrong = async (...args: string[]) => (await run(deliveries, args)).stderr
  expect(await wrong('--state')).toBe('--state needs a value, --state=STATE; see deliveries --help.')
  expect(await wrong('--state', '--json')).toBe(
    '--state needs a value, --state=STATE; see deliveries --help.',
  )
  expect(await wrong('--json=yes')).toBe('--json takes no value; see deliveries --help.')
  expect(await wrong('-s')).toBe('deliveries has no option -s; see deliveries --help.')
  expect(await wrong('--constructor')).toBe('deliveries has no option --constructor; see deliveries --help.')
  expect(await wrong('--stat', 'x')).toBe(
    'deliveries has no option --stat (did you mean --state?); see deliveries --help.',
  )
})

test('a failing command prints its error message and exits with 1', async () => {
  const failing = defineCommand({
    name: 'failing',
    summary: 'Fails.',
    positionals: ['ID…'],
    options: {},
    run: async ({ positionals }) => {
      throw new Error(`The database took none of ${positionals.join(', ')}.`)
    },
  })
  const lines: string[] = []
  const output = {
    print: (line: string) => void lines.push(line),
    note: (line: string) => void lines.push(line),
    color: (_: string, text: string) => text,
  }
  expect(await runCommand(failing, {}, ['a', 'b', 'c'], output)).toBe(1)
  expect(lines).toEqual(['The database took none of a, b, c.'])
})

test('the log on a terminal is readable and shows level names', () => {
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)
  const log = createLog('info', forTerminal({ write, flush() {}, flushSync() {} }))
  log.warn({ count: 3, repository: 'acme/shop' }, 'GitHub is unreachable')
  log.error({ err: new TypeError('no') }, 'failed')
  expect(lines.join('').replace(/^ +at .*\n/gm, '')).toMatch(
    /^[\d:]{8} WARN {2}GitHub is unreachable {2}count=3 {2}repository="acme\/shop"\n[\d:]{8} ERROR failed\n {2}TypeError: no\n$/,
  )
})

test('the relay lists its commands, prints its version, and names an unknown command in the error', async () => {
  const help = await runRelay({}, ['--help'])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  for (const { name, summary } of commands)
    expect(help.stdout).toMatch(new RegExp(`^  ${name} .*${summary}`, 'm'))
  expect(await runRelay({}, ['--version'])).toEqual({
    code: 0,
    stdout: `${packageJson.version}\n`,
    stderr: '',
  })
  for (const [name, hint] of [
    ['deliverys', ' Did you mean deliveries?'],
    ['constructor', ''],
  ] as const) {
    const known = commands.map(each => each.name).join(', ')
    const stderr = `Unknown command "${name}"; commands: ${known}.${hint}\n`
    expect(await runRelay({}, [name])).toEqual({ code: 2, stdout: '', stderr })
  }
  expect(await runRelay({}, ['deliveries'])).toMatchObject({ code: 1, stdout: '' })
})
