/** The problem that an alert reports. Times are milliseconds since 1970. */
export interface KnownProblem {
  type: string
  side: 'github' | 'port' | null
  /**
   * Distinguishes problems of the same type. The key is a GitHub owner or a repository. Empty if
   * there can be only one problem of this type.
   */
  key: string
  text: string
  since: number
  /** Whether an alert about the start of the problem was sent. */
  isSent: boolean
  /** When the problem was resolved; null if it persists. Kept until an alert about the resolution is sent. */
  resolvedAt: number | null
}

/** The state of alerts, stored for all relays so that a restart doesn't repeat alerts. */
export interface AlertState {
  problems: KnownProblem[]
  /** When the last alert was sent or attempted. */
  sentAt: number
}
