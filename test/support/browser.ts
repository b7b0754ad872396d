import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inflate } from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright-core'

const packages = join(import.meta.dirname, '../../node_modules')
const bin = join(packages, '@sparticuz/chromium/bin')
const folder = join(packages, '.cache/chromium')

/**
 * Starts the Chromium from npm, with the libraries and fonts that a minimal system lacks. Unpacks all files only once.
 * If this Chromium doesn't run, starts an installed Chromium or Chrome.
 *
 * @returns the reason if no browser is available
 */
export async function openBrowser(): Promise<Browser | string> {
  const args = ['--no-zygote', '--disable-gpu', '--font-render-hinting=none']
  const launch = (executablePath: string, env: Record<string, string> = {}) =>
    chromium.launch({ executablePath, args, chromiumSandbox: false, env: { ...process.env, ...env } })
  try {
    await unpack()
    const env = { LD_LIBRARY_PATH: join(folder, 'al2023/lib'), FONTCONFIG_PATH: join(folder, 'fonts') }
    return await launch(join(folder, 'chromium'), env)
  } catch (error) {
    const own = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync)
    if (own) return launch(own)
    return `@sparticuz/chromium does not run here, and there is no /usr/bin/chromium: ${String(error).split('\n')[0]}`
  }
}

/** Unpacks into a temporary folder, then renames it, so that concurrent processes only see a complete folder. */
async function unpack(): Promise<void> {
  if (existsSync(folder)) return
  const { TMPDIR } = process.env
  const made = `${folder}-${process.pid}`
  await mkdir(made, { recursive: true })
  process.env.TMPDIR = made
  try {
    await Promise.all(['chromium.br', 'fonts.tar.br', 'al2023.tar.br'].map(file => inflate(join(bin, file))))
    // The package's font configuration covers only AWS Lambda. Chromium crashes if a page's text has no font.
    await writeFile(
      join(made, 'fonts/fonts.conf'),
      `<fontconfig><dir>${join(folder, 'fonts')}</dir><cachedir>${join(folder, 'fonts-cache')}</cachedir></fontconfig>`,
    )
    await rename(made, folder)
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  }
}
