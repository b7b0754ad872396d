import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { commands } from '../../cli/commands.ts'
import { deliveries } from '../../cli/deliveries.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { runRelay } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

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
    const refusal = `${name} has no option --nonsense; see ${name} --help.`
    expect(await run(command, ['--nonsense'])).toEqual({ code: 2, stdout: '', stderr: refusal })
    expect((await run(command, ['-h'])).stdout).toBe((await run(command, ['--help'])).stdout)
    if (command.positionals?.some(each => each.endsWith('…'))) return
    const stderr = new RegExp(`^${name} doesn't take the argument "[abc]"; see ${name} --help\\.$`)
    expect(await run(command, ['a', 'b', 'c'])).toEqual({
      ...{ code: 2, stdout: '', stderr: expect.stringMatching(stderr) },
    })
  })
})

test.each([
  ['--state', '--state needs a value, --state=STATE'],
  ['--state --watch', '--state needs a value, --state=STATE'],
  ['--json=yes', '--json takes no value'],
  ['-s', 'deliveries has no option -s'],
  ['--constructor', 'deliveries has no option --constructor'],
  ['--stat x', 'deliveries has no option --stat (did you mean --state?)'],
  ['--outcome x', '--outcome must be one of succeeded, failed, cancelled, not_started, unknown, not "x"'],
])('reports what is wrong with the options %s', async (args, message) => {
  expect((await run(deliveries, args.split(' '))).stderr).toBe(`${message}; see deliveries --help.`)
})

test('the relay lists its commands, prints its version, and names an unknown command in the error', async () => {
  const help = await runRelay({}, ['--help'])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  for (const { name, summary } of commands)
    expect(help.stdout).toMatch(new RegExp(`^  ${name} .*${summary}`, 'm'))
  expect(await runRelay({}, ['help', 'freeze'])).toEqual(await runRelay({}, ['freeze', '--help']))
  const stdout = `${packageJson.version}\n`
  expect(await runRelay({}, ['-v'])).toEqual({ code: 0, stdout, stderr: '' })
  const known = commands.map(each => each.name).join(', ')
  const stderr = `Unknown command "deliverys"; commands: ${known}. Did you mean deliveries?\n`
  expect(await runRelay({}, ['deliverys'])).toEqual({ code: 2, stdout: '', stderr })
})

test('completion prints scripts that complete commands, options, and values', async () => {
  const completion = commands.find(({ name }) => name === 'completion')!
  const scripts = await Promise.all(['bash', 'zsh', 'fish'].map(shell => run(completion, [shell])))
  for (const { name } of commands)
    for (const { stdout } of scripts) expect(stdout).toMatch(new RegExp(`\\b${name}\\b`))
  const words = (...given: string[]) => {
    const typed = ['port-webhook-relay', ...given].map(word => `'${word}'`).join(' ')
    const script = `${scripts[0]!.stdout}\nCOMP_WORDS=(${typed}); COMP_CWORD=${given.length}; _port_webhook_relay`
    return execFileSync('bash', ['-c', `${script}; echo "\${COMPREPLY[*]}"`])
      .toString()
      .trim()
  }
  expect(words('re')).toBe('redeliver')
  expect(words('redeliver', '--s')).toBe('--state --since')
  expect(words('redeliver', '--state', '')).toBe('failed cancelled')
  expect(words('completion', '')).toBe('bash zsh fish')
  const stderr = 'Specify the shell: completion bash, zsh or fish; not "sh".'
  expect(await run(completion, ['sh'])).toEqual({ code: 2, stdout: '', stderr })
})
