/** The problem that an alert reports. Times are milliseconds since 1970. */
export interface KnownProblem {
  type: string
  side: 'github' | 'port' | null
  /**
   * Tells problems of the same type apart: the organization in Port, the owner on GitHub, or the repository. Empty if
   * there can be only one.
   */
  key: string
  text: string
  since: number
  /** Whether an alert about the start of the problem was sent. */
  isSent: boolean
  /** When the problem was resolved; null if it persists. Kept until an alert about it was sent. */
  resolvedAt: number | null
}

/** The state of alerts, stored for all relays so that a restart repeats no alert. */
export interface AlertState {
  problems: KnownProblem[]
  /** When the last alert was sent or attempted. */
  sentAt: number
}
