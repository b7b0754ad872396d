/**
 * Reads a file that a step wrote for the runner (`GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_STATE`):
 * `name=value` lines and `name<<DELIMITER` blocks. Throws the runner's messages.
 * A line ends with LF, on Windows with CR LF too; elsewhere a CR belongs to the value.
 * Source: FileCommandManager.cs of actions/runner.
 */
export function readEnvFile(content: string): Record<string, string> {
  const values: Record<string, string> = {}
  const lines = content.split(process.platform === 'win32' ? /\r?\n/ : '\n')
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!
    if (line === '') continue
    const equals = line.indexOf('=')
    const heredoc = line.indexOf('<<')
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      if (equals === 0) throw new Error(`Invalid format '${line}'. Name must not be empty`)
      values[line.slice(0, equals)] = line.slice(equals + 1)
    } else if (heredoc >= 0) {
      const name = line.slice(0, heredoc)
      const delimiter = line.slice(heredoc + 2)
      if (name === '' || delimiter === '') {
        throw new Error(`Invalid format '${line}'. Name must not be empty and delimiter must not be empty`)
      }
      const end = lines.indexOf(delimiter, index + 1)
      if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${delimiter}'`)
      values[name] = lines.slice(index + 1, end).join('\n')
      index = end
    } else {
      throw new Error(`Invalid format '${line}'`)
    }
  }
  return values
}
