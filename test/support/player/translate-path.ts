/** What of the machine is seen in a container, and where. */
export type Mount = { from: string; to: string; readOnly: boolean }

/**
 * A path of the machine as a container has it, by the first mount that holds it; any other stays as it is.
 * Source: ContainerInfo.cs of actions/runner.
 */
export function translatePath(path: string, mounts: Mount[]): string {
  const mount = mounts.find(({ from }) => path === from || path.startsWith(`${from}/`))
  return mount ? mount.to + path.slice(mount.from.length) : path
}
