import { parseArgs } from 'node:util'

export type Env = Record<string, string | undefined>

/** An option of a command. */
export interface Option {
  type: 'string' | 'boolean'
  multiple?: boolean
  /** The placeholder of its value in the help: `--state STATE`. */
  value?: string
  help: string
}
type Options = Record<string, Option>

type Value<O extends Option> = O['type'] extends 'boolean'
  ? boolean
  : O['multiple'] extends true
    ? string[]
    : string

/** How a command was called. */
interface Call<O extends Options = Options> {
  env: Env
  values: { [K in keyof O]?: Value<O[K]> }
  positionals: string[]
  /** A line on stdout. */
  print: (line: string) => void
  /** A line on stderr: a sentence that isn't part of the data. */
  note: (line: string) => void
}

/** A command of the relay, as `relay/main.ts` lists them. */
export interface Command<O extends Options = Options> {
  name: string
  /** One sentence, in the list of commands and at the top of `--help`. */
  summary: string
  /** The arguments without options: `ID`, `[FILE]`, `ID…` for any number. None by default. */
  positionals?: string[]
  options: O
  /** More help, below the options. */
  details?: string
  /** @returns the exit code, 0 by default. Throw {@link UsageError} for wrong arguments. */
  run(call: Call<O>): Promise<number | undefined>
}

/** Wrong arguments: exit code 2. */
export class UsageError extends Error {}

/** For all commands that print data. */
export const JSON_OPTION = { type: 'boolean', help: 'print JSON' } as const satisfies Option

/** Keeps the types of a command's options for its `run`. */
export function defineCommand<const O extends Options>(command: Command<O>): Command {
  return command as unknown as Command
}

type Output = Pick<Call, 'print' | 'note'>
const CONSOLE: Output = { print: line => console.log(line), note: line => console.error(line) }

/**
 * Runs one command. `--help`, wrong arguments (exit code 2), and failures (1) work the same for all commands: one sentence
 * on stderr.
 *
 * @returns the exit code
 */
export async function runCommand(
  command: Command,
  env: Env,
  args: string[],
  { print, note }: Output = CONSOLE,
): Promise<number> {
  try {
    const { values, positionals } = readArguments(command, args)
    if (values.help) {
      print(help(command))
      return 0
    }
    return (await command.run({ env, values, positionals, print, note })) ?? 0
  } catch (error) {
    note(error instanceof Error ? error.message : String(error))
    return error instanceof UsageError ? 2 : 1
  }
}

const HELP: Option = { type: 'boolean', help: 'print this' }

function readArguments(command: Command, args: string[]): Pick<Call, 'values' | 'positionals'> {
  const options: Options = { ...command.options, help: HELP }
  const config = Object.entries(options).map(([name, { type, multiple = false }]) => [
    name,
    { type, multiple },
  ])
  const { values, positionals, tokens } = parseArgs({
    args,
    options: Object.fromEntries(config),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const wrong = (what: string) => new UsageError(`${what}; see ${command.name} --help.`)
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { rawName, value, inlineValue } = token
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (!option) throw wrong(`${command.name} has no option ${rawName}`)
    if (option.type === 'boolean' && value !== undefined) throw wrong(`${rawName} takes no value`)
    // A value that starts with a dash is probably the next option, and the value was forgotten.
    if (option.type === 'string' && (value === undefined || (!inlineValue && /^-./.test(value))))
      throw wrong(`${rawName} needs a value, ${rawName}=${option.value ?? 'VALUE'}`)
  }
  const names = command.positionals ?? []
  const most = names.at(-1)?.includes('…') ? Number.POSITIVE_INFINITY : names.length
  if (positionals.length > most)
    throw wrong(`${command.name} does not take the argument ${JSON.stringify(positionals[most])}`)
  return { values: values as Call['values'], positionals }
}

function help({ name, summary, positionals = [], options, details }: Command): string {
  const rows = Object.entries({ ...options, help: HELP }).map(([option, { type, value, multiple, help }]) => [
    `--${option}${type === 'string' ? ` ${value ?? 'VALUE'}` : ''}`,
    multiple ? `${help}; may be repeated` : help,
  ])
  return [
    `port-webhook-relay ${[name, ...positionals, '[OPTIONS]'].join(' ')}`,
    '',
    summary,
    '',
    columns(rows),
    ...(details ? ['', details] : []),
  ].join('\n')
}

/** The list of commands, as `--help` prints it. */
export function overview(commands: Command[]): string {
  return [
    "port-webhook-relay COMMAND [OPTIONS]: turns Port's webhooks into workflow runs on GitHub.",
    '',
    columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    'Without a command, `serve` runs the relay. COMMAND --help prints its options; --version prints the version.',
  ].join('\n')
}

function columns(rows: string[][]): string {
  const width = Math.max(...rows.map(([name]) => name!.length))
  return rows.map(([name, text]) => `  ${name!.padEnd(width)}  ${text}`).join('\n')
}
