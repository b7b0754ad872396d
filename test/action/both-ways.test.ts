import { appendFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { startSystem } from '../reports/open-stage.ts'
import { deliver, NO_TOKEN, openJob, SECRET_INPUT } from './open-relay-job.ts'
import { linesOf } from './play.ts'

// Runs the same steps twice: with Port credentials in the job, and through the relay with OIDC. Port must show the same
// data both times. Uses the built progress reporter and a real relay.

async function open(way: 'credentials' | 'oidc', inputs: Record<string, string> = {}) {
  const system = await startSystem({ RELAY_REPORT_DELETE_BLUEPRINTS: 'service' })
  const { payload, portRun } = await deliver(system)
  // The relay's first label must not overwrite the label of the job.
  await vi.waitFor(() => expect(portRun!.logs).toHaveLength(1), { timeout: 60_000 })
  const { clientId, clientSecret } = system.port
  const own = way === 'credentials' && { 'port-client-id': clientId, 'port-client-secret': clientSecret }
  const job = openJob(system, payload, { 'github-token': '', live: 'true', ...own, ...inputs })
  const env = way === 'credentials' ? NO_TOKEN : {}
  return {
    ...job,
    port: system.port,
    portRun: portRun!,
    /** The lines of Port's log, except those of the relay and the job's last line. */
    lines: () =>
      linesOf(portRun!).filter(line => !/^(Dispatched|Workflow run started|✓ Job|✗ Job)/.test(line)),
    /** Appends to one of the files that steps write to. */
    write: (file: 'log' | 'entities' | 'run', text: string) => appendFileSync(job.saved().files[file], text),
    main: () => job.run('main', env),
    /** Runs post, and waits until the Port run has finished. */
    async end(more: Record<string, string> = {}) {
      const printed = await job.post({ ...env, ...more })
      await vi.waitFor(() => expect(portRun!.finishedAt).toBeDefined(), { timeout: 15_000 })
      return printed.filter(line => !line.startsWith('::notice::The steps of this job'))
    },
  }
}

describe.each(['credentials', 'oidc'] as const)('when a job reports with %s', way => {
  test('Port shows the texts of steps in order while the job runs, and everything else when the job finishes', async () => {
    const job = await open(way, { mask: 'https://preview.acme.example' })
    job.port.declareBlueprint('service', { type: 'object', properties: { tier: { type: 'number' } } })
    expect(await job.main()).toEqual([])
    expect(job.outputs()).toMatchObject({ version: '1.4.2', password: SECRET_INPUT })
    job.write('log', 'one\n')
    job.write('run', 'link=https://preview.acme.example/7\n')
    job.write('run', 'status-label=Rolling out\nlink=https://github.com/acme/shop/pull/7\n')
    job.write('entities', 'blueprint: service\nidentifier: shop\nproperties:\n  tier: 1\n')
    const { entities } = job.port
    await vi.waitFor(
      () => {
        expect(job.lines()).toContain('one')
        expect(job.portRun).toMatchObject({ status: 'IN_PROGRESS', statusLabel: 'Rolling out' })
        expect(entities).toHaveLength(1)
      },
      { timeout: 20_000, interval: 50 },
    )
    const link = [expect.stringMatching(/attempts\/1$/), 'https://github.com/acme/shop/pull/7']
    expect(job.portRun.link).toEqual(link)
    job.write('log', 'two')
    job.write('entities', '{"blueprint":"service","identifier":"shop","properties":{"tier":2}}\n')
    job.write('entities', '{"blueprint":"service","identifier":"odd","properties":{"tier":"x"}}\n')
    job.write('entities', '---\n- { blueprint: service, identifier: db, title: Database }\n')
    job.write('entities', '---\n- { blueprint: service, identifier: old }\n')
    job.write('entities', '---\n- { operation: delete, blueprint: service, identifier: old }\n')
    job.write('entities', '---\n- { operation: delete, blueprint: service, identifier: never }')
    const printed = await job.end({ 'INPUT_JOB-STATUS': 'failure' })
    expect(printed).toContainEqual(expect.stringContaining('A link in $PORT_RUN is omitted'))
    expect(job.portRun).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed', link })
    expect(entities).toMatchObject([
      { identifier: 'shop', properties: { tier: 2 }, runId: job.portRun.id },
      { identifier: 'db', title: 'Database', runId: job.portRun.id },
    ])
    const about = (text: RegExp) =>
      job
        .lines()
        .filter(line => text.test(line))
        .join('\n')
    expect(about(/service.*odd/)).toContain('schema')
    expect(about(/service.*never/)).toMatch(/it doesn't exist in Port/)
    for (const text of [/^two$/, /service\/shop/, /service\/db/]) expect(about(text)).not.toBe('')
  })
})
