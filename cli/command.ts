import { openSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs, styleText } from 'node:util'
import { cleanLine } from '../port/text.ts'
import { ConfigError } from '../relay/config/config.ts'
import { nearestName } from '../workflow-files/nearest-name.ts'

export type Env = Record<string, string | undefined>

interface Option {
  type: 'string' | 'boolean'
  multiple?: boolean
  short?: string
  value?: string
  /** The allowed values. */
  choices?: readonly string[]
  help: string
}
type Options = Record<string, Option>

type Value<O extends Option> = O['type'] extends 'boolean'
  ? boolean
  : O['multiple'] extends true
    ? string[]
    : O extends { choices: readonly (infer C)[] }
      ? C
      : string

export interface Call<O extends Options = Options> {
  env: Env
  values: { [K in keyof O]?: Value<O[K]> }
  positionals: string[]
  print: (line: string) => void
  /** Prints messages to stderr. */
  note: (line: string) => void
  color: (color: Color, text: string) => string
  /** The terminal's width; undefined if the output isn't a terminal. */
  width?: number | undefined
  /** Asks the user for a confirmation; undefined if the input isn't a terminal. */
  ask?: ((question: string) => Promise<boolean>) | undefined
  signal?: AbortSignal | undefined
}

export type Color = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export interface Command<O extends Options = Options> {
  name: string
  /** One sentence for the list of commands and the first line of `--help`. */
  summary: string
  /** Positional arguments: `ID`, `[FILE]`, or `ID…` for any number of arguments. */
  positionals?: string[]
  options: O
  details?: string
  /** @returns the exit code, 0 by default. Throws {@link UsageError} for invalid arguments. */
  run(call: Call<O>): Promise<number | undefined>
}

/** Invalid arguments; exit code 2. */
export class UsageError extends Error {}

/** Reads a file, or stdin if its name is `-`. */
export function readInput(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    const why = { ENOENT: "doesn't exist", EISDIR: 'is a folder, not a file' }[code]
    throw new Error(`${file} ${why ?? `can't be read (${code})`}.`, { cause })
  }
}

/** Creates a file that only its owner can read. @param cure how to choose another file. @returns the open file */
export function createPrivateFile(file: string, cure: string): number {
  try {
    return openSync(file, 'wx+', 0o600)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'already exists' : `can't be written (${code})`
    throw new Error(`${file} ${why}: ${cure}.`, { cause })
  }
}

/** @param value the placeholder in the help, such as STATE in `--state STATE` */
export const flag = (help: string) => ({ type: 'boolean', help }) as const
export const text = (value: string, help: string) => ({ type: 'string', value, help }) as const
export const choice = <const C extends readonly string[]>(value: string, choices: C, help: string) =>
  ({ type: 'string', value, choices, help }) as const
export const texts = (value: string, help: string) =>
  ({ type: 'string', multiple: true, value, help }) as const

export const JSON_OPTION = flag('print JSON')

/** Passes the types of a command's options to its `run`. */
export function defineCommand<const O extends Options>(command: Command<O>): Command {
  return command as unknown as Command
}

type Output = Pick<Call, 'print' | 'note' | 'color' | 'width' | 'ask' | 'signal'>
const CONSOLE: Output = {
  print: line => console.log(line),
  note: line => console.error(line),
  color: (color, text) => styleText(color, text, { stream: process.stdout }),
  width: process.stdout.columns,
  ...(process.stdin.isTTY && { ask }),
}

/** @returns whether the user confirms; false if the input ends, for example with Ctrl-C */
function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  return new Promise(resolve => {
    lines.once('line', line => {
      resolve(/^\s*y(es)?\s*$/i.test(line))
      lines.close()
    })
    lines.once('close', () => resolve(false))
    lines.setPrompt(`${question} [y/N] `)
    lines.prompt()
  })
}

/** Runs a command. Prints an error to stderr, as JSON with --json. @returns the exit code: 2 for invalid arguments, 1 for other failures */
export async function runCommand(
  command: Command,
  env: Env,
  args: string[],
  output: Output = CONSOLE,
): Promise<number> {
  try {
    const { values, positionals } = readArguments(command, args)
    if (values.help) {
      output.print(help(command))
      return 0
    }
    return (await command.run({ env, values, positionals, ...output })) ?? 0
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error)
    if (command.options.json && args.includes('--json')) output.print(JSON.stringify({ error: sentence }))
    else output.note(error instanceof ConfigError ? sentence : cleanLine(sentence))
    return error instanceof UsageError ? 2 : 1
  }
}

export const HELP: Option = { type: 'boolean', short: 'h', help: 'print this help' }

function readArguments(command: Command, args: string[]): Pick<Call, 'values' | 'positionals'> {
  const options: Options = { ...command.options, help: HELP }
  const { values, positionals, tokens } = parseArgs({
    ...{ args, options, strict: false, allowPositionals: true, tokens: true },
  })
  const wrong = (what: string) => new UsageError(`${what}; see ${command.name} --help.`)
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { rawName, value, inlineValue } = token
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (!option) throw wrong(`${command.name} has no option ${rawName}${didYouMean(rawName, options)}`)
    if (option.type === 'boolean' && value !== undefined) throw wrong(`${rawName} takes no value`)
    // A value that starts with a dash is probably the next option, so the option's value is missing.
    if (option.type === 'string' && (!value || (!inlineValue && /^-./.test(value))))
      throw wrong(`${rawName} needs a value, ${rawName}=${option.value}`)
    if (value !== undefined && option.choices?.includes(value) === false)
      throw wrong(`${rawName} must be one of ${option.choices.join(', ')}, not ${JSON.stringify(value)}`)
  }
  const names = command.positionals ?? []
  const most = names.at(-1)?.includes('…') ? Number.POSITIVE_INFINITY : names.length
  if (positionals.length > most)
    throw wrong(`${command.name} doesn't take the argument ${JSON.stringify(positionals[most])}`)
  return { values: values as Call['values'], positionals }
}

function didYouMean(rawName: string, options: Options): string {
  const names = Object.keys(options).map(name => `--${name}`)
  const near = nearestName(rawName, names)
  return near === null ? '' : ` (did you mean ${near}?)`
}

function help({ name, summary, positionals = [], options, details }: Command): string {
  const rows = Object.entries({ ...options, help: HELP }).map(
    ([option, { type, value, choices, multiple, short, help }]) => [
      `--${option}${type === 'string' ? ` ${value}` : ''}${short ? `, -${short}` : ''}`,
      help + (choices ? `: ${choices.join(', ')}` : '') + (multiple ? '; may be repeated' : ''),
    ],
  )
  return [
    `port-webhook-relay ${[name, ...positionals, '[OPTIONS]'].join(' ')}`,
    '',
    summary,
    '',
    columns(rows),
    ...(details ? ['', details] : []),
  ].join('\n')
}

export function overview(commands: Command[]): string {
  return [
    "port-webhook-relay COMMAND [OPTIONS]: turns Port's webhooks into workflow runs on GitHub.",
    '',
    columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    "Without a command, `serve` runs the relay. COMMAND --help (or -h) prints the command's options; --version (or -v) prints the version.",
  ].join('\n')
}

/** Quotes a word for a shell. */
export const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

function columns(rows: string[][]): string {
  const width = Math.max(...rows.map(([name]) => name!.length))
  return rows.map(([name, text]) => `  ${name!.padEnd(width)}  ${text}`).join('\n')
}
