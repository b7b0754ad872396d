/**
 * `npm run rename OWNER`: replaces the GitHub account that publishes this project in all tracked files: in `uses:` of
 * the action, image names, URLs, and code owners. Reads the current account from `package.json`.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const [owner = ''] = process.argv.slice(2)
// https://docs.github.com/enterprise-cloud@latest/admin/identity-and-access-management/iam-configuration-reference/username-considerations-for-external-authentication
if (!/^[a-z\d](?:-?[a-z\d]){0,38}$/i.test(owner)) {
  console.error('Usage: npm run rename OWNER, the user or organization on GitHub that publishes this project')
  process.exit(2)
}
const { repository } = JSON.parse(readFileSync('package.json', 'utf8'))
const current: string = /github\.com\/([^/]+)\//.exec(repository.url)![1]!

/** Text with the current account → the same text with the new account. Image names are in lower case. */
const names: [from: string, to: string][] = [
  [`ghcr.io/${current.toLowerCase()}/`, `ghcr.io/${owner.toLowerCase()}/`],
  [`${current}/port-webhook-action`, `${owner}/port-webhook-action`],
  [`${current}.github.io`, `${owner}.github.io`],
  [`--owner ${current} `, `--owner ${owner} `],
]
let count = 0
for (const file of execFileSync('git', ['ls-files', '-z', ':!action/dist'], { encoding: 'utf8' }).split(
  '\0',
)) {
  if (!file) continue
  const text = readFileSync(file, 'latin1')
  const renamed = names.reduce(
    (before, [from, to]) =>
      before.replaceAll(new RegExp(`(?<![\\w-])${from.replaceAll('.', '\\.')}`, 'g'), to),
    text,
  )
  if (renamed === text) continue
  writeFileSync(file, renamed, 'latin1')
  count++
}
console.log(`${current} is now ${owner} in ${count} files. Commit the result.`)
