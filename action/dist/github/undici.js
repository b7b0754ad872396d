export class ProxyAgent {}
export const fetch = undefined
