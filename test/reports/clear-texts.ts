import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { PlayedRun } from '../../tools/simulator/runner/types.ts'

/** Stands in every clear text again and again, so that a piece of one is found too, however it was cut or escaped. */
const MARK = 'cl34r-text'

/** Name → clear text, one of each kind. */
export const CLEAR = {
  token: `ghs_${MARK}/of+token=&more`,
  key: `-----BEGIN PRIVATE KEY-----\n${MARK} first line of key\n  ${MARK}, indented\n-----END PRIVATE KEY-----\n`,
  login: JSON.stringify({
    user: `${MARK}-user`,
    more: { list: [`${MARK}-in-list`, 48151623], note: `${MARK} ä` },
  }),
  pin: '90210377',
  /** Too large for GitHub's payload once it is encrypted. */
  large: Array.from({ length: 12 }, (_, line) => `${line} ${MARK} `.repeat(330).trim()).join('\n'),
  /** Of the other scheme. */
  own: `opened with a private key, ${MARK}`,
  /** The workflow's author puts it into an entity. */
  wish: 'put into an entity by wish',
}

/** Every form in which a clear text must not stand anywhere: its lines, what is inside it, in the usual encodings. */
function formsOf(clear: string): string[] {
  const inside = clear.startsWith('{')
    ? [...clear.matchAll(/"([^"]{4,})"(?!:)|\b\d{4,}\b/g)].map(([all, text]) => text ?? all)
    : []
  const lines = [...clear.split('\n'), ...inside].map(line => line.trim()).filter(line => line.length >= 4)
  const json = (text: string) => JSON.stringify(text).slice(1, -1)
  return [
    ...new Set(
      lines.flatMap(line => [
        line,
        json(line),
        json(json(line)),
        encodeURIComponent(line),
        ...base64Of(line),
      ]),
    ),
  ]
}

/** As it stands in the base64 of any text around it: without the characters that the neighbours have a share in. */
function base64Of(text: string): string[] {
  return [0, 1, 2]
    .map(shift => {
      const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)])
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
      return whole.toString('base64').slice(shift === 0 ? 0 : 4)
    })
    .filter(form => form.length >= 8)
}

/** `<name> in <place>` for each clear text, or piece of one, that stands in a place. */
export function findClear(places: Record<string, string>, clear: Record<string, string> = CLEAR): string[] {
  const all = Object.entries({ ...clear, 'a piece': MARK }).map(([name, text]) => ({
    name,
    forms: formsOf(text),
  }))
  return Object.entries(places).flatMap(([place, text]) =>
    all.flatMap(({ name, forms }) =>
      forms.some(form => text.includes(form)) ? [`${name} in ${place}`] : [],
    ),
  )
}

/** What GitHub shows of a run, to whoever may see it. */
export function shownOf(run: PlayedRun): string {
  const steps = run.jobs.flatMap(job => job.steps)
  return [
    ...steps.flatMap(({ name, log, summary }) => [name, log, summary]),
    ...steps.flatMap(({ annotations }) => annotations.map(({ message }) => message)),
    ...run.jobs.map(job => JSON.stringify(job.outputs)),
  ].join('\n')
}

/** What its processes printed, before GitHub masks it. */
export const printedBy = (run: PlayedRun): string =>
  run.jobs.flatMap(job => job.steps.map(({ stdout, stderr }) => stdout + stderr)).join('\n')

/** The bytes of every file of a SQLite database, those of its log included; none of PostgreSQL's. */
export function filesOf(address: string): Record<string, string> {
  if (!address.startsWith('sqlite:')) return {}
  const path = address.slice('sqlite:'.length)
  const names = readdirSync(dirname(path)).filter(name => name.startsWith(basename(path)))
  return Object.fromEntries(
    names.map(name => [`file ${name}`, readFileSync(join(dirname(path), name)).toString('utf8')]),
  )
}

/** Every row of every table, of the database of a relay that runs. */
export async function rowsOf(address: string): Promise<Record<string, string>> {
  if (address.startsWith('sqlite:')) {
    const database = new DatabaseSync(address.slice('sqlite:'.length), { readOnly: true })
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
    const rows = tables.map(({ name }) => [
      `table ${name}`,
      JSON.stringify(database.prepare(`SELECT * FROM ${name}`).all()),
    ])
    database.close()
    return Object.fromEntries(rows)
  }
  const client = new pg.Client(address)
  await client.connect()
  try {
    const { rows: tables } = await client.query(
      "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    const found: Record<string, string> = {}
    for (const { name } of tables)
      found[`table ${name}`] = JSON.stringify((await client.query(`SELECT * FROM ${name}`)).rows)
    return found
  } finally {
    await client.end()
  }
}
