/** Whether a host is this machine: what is sent there leaves it for no network. @param hostname of a `URL` */
export const isLoopback = (hostname: string): boolean =>
  /^(127\.[\d.]+|\[::1\]|(.+\.)?localhost)$/.test(hostname)
