/**
 * The site of the pages in this folder: `npm run site` builds it, and `.github/workflows/site.yml` publishes it.
 * VitePress isn't a dependency of this project, because only the site needs it: see `scripts/site/`.
 */
import { readFileSync } from 'node:fs'

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
const { repository } = JSON.parse(read('../package.json'))
const [address, owner, name] = /github\.com\/([^/]+)\/([^/]+)\.git/.exec(repository.url)!
const github = `https://${address.replace('.git', '')}`

/** Groups of pages, as in README.md. */
const SIDEBAR = {
  'Getting started': ['tutorial', 'comparison'],
  'Writing workflows': ['action', 'errors', 'whole-workflows', 'migrate'],
  'Setting up the relay': [
    ...['deploy', 'aws-lambda', 'configuration', 'github-app', 'routing', 'commands', 'sizing'],
  ],
  'Operating it': [
    ...['dashboard', 'troubleshooting', 'deliveries', 'runbook', 'database', 'limits', 'http-api'],
  ],
  'Approving and changing it': ['security', 'architecture'],
}

type Token = { attrs: [string, string][] | null; children: Token[] | null; type: string }

/** Makes links to files outside of this folder lead to GitHub, and keeps Vue from evaluating braces in inline code. */
function adapt(tokens: Token[]): void {
  for (const token of tokens) {
    if (token.type === 'code_inline') token.attrs = [['v-pre', '']]
    for (const attribute of token.attrs ?? [])
      attribute[1] = attribute[1].replace(/^\.\.\//, `${github}/blob/main/`)
    adapt(token.children ?? [])
  }
}

export default {
  title: 'port-webhook-action',
  description: 'Port starts GitHub workflows, and shows what happens.',
  lang: 'en-US',
  base: `/${name}/`,
  lastUpdated: true,
  head: [['meta', { name: 'author', content: owner }]],
  markdown: {
    // The anchors are those of GitHub.
    anchor: {
      slugify: (heading: string) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
    },
    config: (md: {
      core: { ruler: { push(name: string, rule: (state: { tokens: Token[] }) => void): void } }
    }) => md.core.ruler.push('adapt', ({ tokens }) => adapt(tokens)),
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    editLink: { pattern: `${github}/edit/main/docs/:path` },
    socialLinks: [{ icon: 'github', link: github }],
    sidebar: Object.entries(SIDEBAR).map(([text, pages]) => ({
      text,
      items: pages.map(page => ({ text: /^# (.+)$/m.exec(read(`${page}.md`))![1], link: `/${page}` })),
    })),
  },
}
