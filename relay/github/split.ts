/** `owner/name` in its two parts. */
export function split(repository: string): [string, string] {
  const [owner = '', repo = ''] = repository.split('/')
  return [owner, repo]
}
