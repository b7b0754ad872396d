import { setGlobalProxyFromEnv } from 'node:http'

const NAMES = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']
const THIS_MACHINE = ['localhost', '127.0.0.1', '[::1]']

/** Sends all requests through the proxy that the environment names, except those to `NO_PROXY` and to this machine. */
export function useProxy(env: Record<string, string | undefined>): void {
  if (!NAMES.some(name => env[name])) return
  const direct = [env.NO_PROXY || env.no_proxy, ...THIS_MACHINE].filter(Boolean).join(',')
  setGlobalProxyFromEnv({ ...env, NO_PROXY: direct, no_proxy: direct })
}
