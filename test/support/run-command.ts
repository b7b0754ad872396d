import { type Command, type Env, runCommand } from '../../cli/command.ts'

/** Runs a command of the relay in this process. */
export async function run(
  command: Command,
  args: string[] = [],
  env: Env = {},
  signal?: AbortSignal,
  ask?: (question: string) => Promise<boolean>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [out, err]: string[][] = [[], []]
  const code = await runCommand(command, env, args, {
    print: line => void out!.push(line),
    note: line => void err!.push(line),
    color: (_, text) => text,
    signal,
    ask,
  })
  return { code, stdout: out!.join('\n'), stderr: err!.join('\n') }
}
