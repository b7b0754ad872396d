import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, type TestContext, test } from 'vitest'
import { until } from '../simulator/http-server.ts'
import { TEST_ENV } from './support/environment.ts'

const root = join(import.meta.dirname, '..')
const PICTURE = readFileSync(join(root, 'docs/images/demo.svg'), 'utf8')

/** Runs the demo in a temporary folder. Interrupts the demo at the first line with `interruptAt` after the line with `before`. */
async function demo(
  { onTestFinished }: TestContext,
  args: string[] = [],
  interruptAt?: string,
  before?: (output: string) => Promise<unknown>,
) {
  const folder = mkdtempSync(join(tmpdir(), 'demo-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const child = spawn(process.execPath, ['demo/main.ts', ...args], {
    cwd: root,
    env: { ...TEST_ENV, PATH: process.env.PATH, TMPDIR: folder },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const isPast = interruptAt && output.includes(interruptAt)
      output += text
      if (!interruptAt || isPast || !output.includes(interruptAt)) return
      void Promise.resolve(before?.(output)).finally(() => child.kill('SIGINT'))
    })
  }
  const exitCode = await new Promise(resolve => child.on('close', resolve))
  const relays = [...output.matchAll(/\bprocess (\d+)/g)].map(([, pid]) => Number(pid))
  return { exitCode, output, lines: output.split('\n'), relays, left: readdirSync(folder) }
}

/** The timeline, without the times and IDs, which differ between runs. */
const story = (lines: string[]) =>
  lines.flatMap(line => /^ *\d+\.\d\d s {2}(\w+) +.{18} {2}(.*)$/.exec(line)?.slice(1).join(': ') ?? [])

/** The evidence that bound the runs, in order. */
const evidences = (lines: string[]) => lines.flatMap(line => /^ +evidence: (\w+)$/.exec(line)?.[1] ?? [])

/** The last text on each line of the README's picture, without times and ids. */
const drawn = () => {
  const texts = PICTURE.matchAll(/ y="(\d+)".*?>(.*?)<\/text>/g)
  const lines = Object.values(Object.groupBy(texts, ([, y]) => y!))
  return lines.flatMap(line => (line!.length === 4 ? `${line![1]![2]}: ${line![3]![2]}` : []))
}

/** Only the relay's final update has the link of the workflow run. */
const withoutIds = (line: string) =>
  line.replace(/ link \S+runs\S+,/, '').replaceAll(/r_\w+|run \d+|and \d+ more/g, '…')

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const OIDC = /^relay: verifies GitHub's OIDC token of run \d+, accepts its reports$/

describe.concurrent('the demo', { timeout: 180_000 }, () => {
  test('simulates successful and failed deployments, a Port workflow, a branch, a cancellation, and an event without a listener', async context => {
    let page = ''
    /** A user clicks "Deploy" in the browser. */
    const click = async (output: string) => {
      const [, url] = /^ +Port +(http\S+)\n +Dashboard/m.exec(output)!
      const read = async (path: string) => (await fetch(`${url}${path}`)).text()
      const index = (await read('/')).split('<form').findIndex(form => form.includes('<h3>Deploy</h3>')) - 1
      const body = new URLSearchParams({ entity: 'shop', version: '<2>', environment: 'staging' })
      const { url: shown } = await fetch(`${url}/run/${index}`, { method: 'POST', body })
      await until(async () => {
        page = await read(new URL(shown).pathname)
        return page.includes('SUCCESS · Succeeded')
      }, 'the page shows the result')
      page += await (await fetch(/<a href="(http\S+)"/.exec(page)![1]!)).text()
    }
    const args = ['--oidc', '--open']
    const { exitCode, lines, output, relays, left } = await demo(context, args, 'the token is', click)
    expect(page).toMatch(/&lt;2&gt; is up in staging.*<b>service<\/b> shop.*<li>Roll out: success/s)
    expect(output).toContain('7 of 7 runs ended in Port as expected.')
    expect(exitCode).toBe(0)
    expect(output).toContain('runner  examples/deploy-oidc/deploy.yml,')
    expect(story(lines).filter(line => OIDC.test(line))).toHaveLength(6)
    const direct = ['title', 'report']
    // The click started the last run.
    const ofActs = [...direct, ...direct, ...direct, ...direct, 'response', 'report', 'response']
    expect(evidences(lines)).toEqual([...ofActs, ...direct])
    expect(lines.map(line => line.trim())).toEqual(
      expect.arrayContaining([
        'Status  SUCCESS · Succeeded',
        'Status  FAILURE · Failed',
        'Entity  deployment 1.4.2, of service shop, environment staging',
        expect.stringMatching(
          /^Entity {2}environment Preview of pull request 7, with url https:\/\/pr-7\.shop\.example/,
        ),
        'Status  FAILURE · Canceled',
        'Status  FAILURE · Not started',
        'There is no release "latest": a version looks like 1.4.2',
        expect.stringMatching(
          /^No workflow in acme\/shop listens to repository_dispatch type deploy_servise on its default branch\./,
        ),
      ]),
    )
    expect(output).not.toContain('\u001b[')
    const titles = lines.flatMap((line, at) => (line.startsWith('Act ') ? at : []))
    // Output that comes late must not appear below the next act's title.
    for (const at of titles)
      expect(lines.slice(at + 2, at + 4).join('\n')).toMatch(/ (Ada Lovelace runs|starts again with) /)
    // The labels that Port shows depend on how fast the job is.
    const shown = drawn().filter(line => !line.includes('shows “'))
    expect(shown.length).toBeGreaterThan(10)
    expect(story(lines).map(withoutIds)).toEqual(expect.arrayContaining(shown.map(withoutIds)))
    expect(relays).toHaveLength(2)
    expect(relays.filter(isRunning)).toEqual([])
    expect(left).toEqual([])
  })

  test('cleans up when it is interrupted', async context => {
    const { exitCode, output, relays, left } = await demo(context, [], 'accepts repository_dispatch')
    expect(output).toContain('Interrupted by SIGINT.')
    expect(exitCode).toBe(1)
    expect(relays.filter(isRunning)).toEqual([])
    expect(left).toEqual([])
  })
})
