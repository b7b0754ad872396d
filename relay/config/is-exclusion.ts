/** Whether a glob of repositories takes out what it matches; `!(a|b)` is a pattern like any other. */
export const isExclusion = (glob: string): boolean => /^!(?!\()/.test(glob)
