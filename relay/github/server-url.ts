/** The address of GitHub's pages, from the REST base: github.com, GHE.com (`api.SUBDOMAIN.ghe.com`) or an Enterprise Server (`HOST/api/v3`). */
export function serverUrl(apiUrl: string): string {
  const { protocol, host } = new URL(apiUrl)
  return `${protocol}//${host.replace(/^api\.(?=github\.com$|[^.]+\.ghe\.com$)/, '')}`
}
