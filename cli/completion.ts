import { type Command, defineCommand, HELP, quote, UsageError } from './command.ts'

const NAME = 'port-webhook-relay'

/** @param commands all commands except `completion` */
export function createCompletion(commands: Command[]): Command {
  const completion = defineCommand({
    name: 'completion',
    summary: 'Prints a script that completes commands, options and their values in your shell.',
    positionals: ['bash|zsh|fish'],
    options: {},
    details: `bash: add to ~/.bashrc   source <(${NAME} completion bash)
zsh: add to ~/.zshrc     source <(${NAME} completion zsh)
fish: run once           ${NAME} completion fish > ~/.config/fish/completions/${NAME}.fish`,
    async run({ positionals: [shell = ''], print }) {
      const shells: Record<string, (commands: Command[]) => string> = { bash, zsh, fish }
      const script = Object.hasOwn(shells, shell) ? shells[shell] : undefined
      if (!script)
        throw new UsageError(`Specify the shell: completion bash, zsh or fish; not ${JSON.stringify(shell)}.`)
      print(script([...commands, completion]))
    },
  })
  return completion
}

const wordsOf = (words: readonly string[]) => quote(words.join(' '))
const optionsOf = ({ options }: Command) => Object.entries({ ...options, help: HELP })
/** Returns the allowed values of each option, and of a positional argument such as `bash|zsh|fish`. */
const choicesOf = ({ name, positionals = [], options }: Command) => [
  ...Object.entries(options).flatMap(([option, { choices }]) =>
    choices ? [{ after: `${name} --${option}`, choices }] : [],
  ),
  ...positionals
    .filter(each => /^[a-z|]+$/.test(each))
    .map(each => ({ after: `${name} ${name}`, choices: each.split('|') })),
]

function bash(commands: Command[]): string {
  const values = commands
    .flatMap(choicesOf)
    .map(({ after, choices }) => `      ${quote(after)}) choices=${wordsOf(choices)} ;;`)
  const options = commands.map(command => {
    const names = optionsOf(command).map(([name]) => `--${name}`)
    return `      ${quote(command.name)}\\ *) choices=${wordsOf(names)} ;;`
  })
  return `_port_webhook_relay() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} choices=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    choices=${wordsOf(commands.map(({ name }) => name))}
  else
    case "\${COMP_WORDS[1]} $before" in
${[...values, ...options].join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
complete -o default -F _port_webhook_relay ${NAME}`
}

/** Zsh can run bash's completion function. */
const zsh = (commands: Command[]) => `(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
${bash(commands)}`

function fish(commands: Command[]): string {
  const text = (given: string) => `'${given.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = commands.flatMap(command => {
    const { name, summary, positionals = [] } = command
    const inside = `complete -c ${NAME} -n '__fish_seen_subcommand_from ${name}'`
    const shells = positionals.filter(each => /^[a-z|]+$/.test(each)).map(each => each.replaceAll('|', ' '))
    return [
      `complete -c ${NAME} -n __fish_use_subcommand -f -a ${name} -d ${text(summary)}`,
      ...shells.map(each => `${inside} -f -a '${each}'`),
      ...optionsOf(command).map(([option, { type, choices, help }]) => {
        const value = choices ? ` -x -a '${choices.join(' ')}'` : type === 'string' ? ' -r' : ''
        return `${inside} -l ${option}${value} -d ${text(help)}`
      }),
    ]
  })
  return lines.join('\n')
}
