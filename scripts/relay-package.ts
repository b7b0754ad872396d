import { globSync, readFileSync } from 'node:fs'

/** The name of the npm package, and of the command in it. */
const NAME = 'port-webhook-relay'

/** What the package brings for the ways to deploy it, except for Lambda, whose function is another bundle. */
const DEPLOY = [
  'deploy/{compose,compose.postgres,prometheus-alerts}.yml',
  'deploy/{relay.env.example,grafana-dashboard.json}',
  'deploy/{kubernetes,systemd}/*',
]

/**
 * The files that make the folder of the relay's bundle the npm package `port-webhook-relay`: manifest, command, README,
 * license, and the files to deploy it. It has no dependencies, since the bundle contains them.
 *
 * @param folder of the bundle, from the project's root, which is the current folder
 */
export function relayPackage(folder: string): { file: string; content: string }[] {
  const { version, license, repository, engines } = JSON.parse(readFileSync('package.json', 'utf8'))
  const manifest = {
    name: NAME,
    version,
    description:
      "Turns Port's signed webhooks into workflow runs on GitHub, and shows their results in Port.",
    keywords: ['port', 'port.io', 'github-actions', 'webhook', 'self-service', 'internal-developer-portal'],
    license,
    repository,
    engines,
    type: 'module',
    bin: { [NAME]: 'cli.js' },
    files: ['*.js', 'simulator', 'deploy', 'THIRD_PARTY_LICENSES'],
  }
  return [
    { file: `${folder}/package.json`, content: `${JSON.stringify(manifest, null, 2)}\n` },
    { file: `${folder}/cli.js`, content: CLI },
    { file: `${folder}/README.md`, content: readFileSync('README.md', 'utf8') },
    { file: `${folder}/LICENSE`, content: readFileSync('LICENSE', 'utf8') },
    ...globSync(DEPLOY).map(file => ({ file: `${folder}/${file}`, content: readFileSync(file, 'utf8') })),
  ]
}

/** An older Node would fail on the bundle's imports without naming the cause. */
const CLI = `#!/usr/bin/env node
if (Number.parseInt(process.versions.node) < 24) {
  console.error(
    \`${NAME} needs Node 24 or newer, and this is Node \${process.versions.node}. npx brings it along: \` +
      'npx --package=node@24 --package=${NAME} ${NAME} COMMAND',
  )
  process.exit(1)
}
await import('./main.js')
`
