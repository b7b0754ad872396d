import { globSync, readFileSync } from 'node:fs'

/** The name of the npm package and of its command. */
const NAME = 'port-webhook-relay'

/** The deployment files in the package. Excludes the files for Lambda, which has its own bundle. */
const DEPLOY = [
  'deploy/{compose,compose.agent,compose.postgres,prometheus-alerts}.yml',
  'deploy/{relay.env.example,grafana-dashboard.json}',
  'deploy/{kubernetes,systemd}/*',
]

/**
 * Returns the files that turn the relay's bundle into the npm package `port-webhook-relay`: manifest, command, README,
 * license, and deployment files. The package has no dependencies, because the bundle contains them.
 *
 * @param folder the bundle's folder, relative to the project's root, which must be the current folder
 */
export function relayPackage(folder: string): { file: string; content: string }[] {
  const { version, license, repository, engines } = JSON.parse(readFileSync('package.json', 'utf8'))
  const project = repository.url.replace(/^git\+|\.git$/g, '')
  const manifest = {
    name: NAME,
    version,
    description:
      "Turns Port's signed webhooks into workflow runs on GitHub, and shows their results in Port.",
    keywords: ['port', 'port.io', 'github-actions', 'webhook', 'self-service', 'internal-developer-portal'],
    license,
    ...{ homepage: `${project}#readme`, bugs: `${project}/issues` },
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

/**
 * Checks Node's version, because an older Node would fail on the bundle's imports without naming the cause. Later
 * starts use compiled code from a folder in the package: whoever can change this folder can also change the package. If
 * the folder is read-only, nothing is cached.
 */
const CLI = `#!/usr/bin/env node
import module from 'node:module'
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 15)) {
  console.error(
    \`${NAME} needs Node 24.15 or newer, and this is Node \${process.versions.node}. npx can download it: \` +
      'npx --package=node@24 --package=${NAME} ${NAME} COMMAND',
  )
  process.exit(1)
}
module.enableCompileCache(import.meta.dirname + '/compile-cache')
await import('./main.js')
`
