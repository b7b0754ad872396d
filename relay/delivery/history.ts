type Tone = 'plain' | 'good' | 'bad' | 'wait' | 'by conclusion'

/** The text of each type of history entry, for the log and the timeline, and its tone on the timeline. Most types have the name of their event. */
export const HISTORY = {
  waitingNotified: ['the delivery waits', 'wait'],
  frozen: ['the delivery is frozen', 'wait'],
  unfrozen: ['a freeze ended', 'plain'],
  dispatchAccepted: ['GitHub accepted the dispatch', 'good'],
  dispatchDeferred: ['the dispatch is deferred', 'wait'],
  dispatchRejected: ['GitHub rejected the dispatch', 'bad'],
  responseLost: ["GitHub's response to the dispatch was lost", 'wait'],
  runNotFound: ['no workflow run was found', 'wait'],
  runBound: ['a workflow run is bound to the delivery', 'good'],
  runReported: ['the workflow run reported', 'good'],
  jobFinished: ['a job of the workflow run finished', 'by conclusion'],
  reportReceived: ['the delivery finished: its workflow run reported the conclusion', 'by conclusion'],
  entityRejected: ['Port rejected an entity that the workflow run requires', 'bad'],
  rerunRequested: ['the failed jobs lost their runners; the relay asks GitHub to run them again', 'wait'],
  runFinished: ['the delivery finished with its workflow run', 'by conclusion'],
  finishedInPort: ['the delivery finished because its run in Port finished', 'plain'],
  listenerMissing: ['no workflow listens to the dispatch', 'bad'],
  startTimedOut: ['the delivery finished without a workflow run', 'bad'],
  runTimedOut: ['the delivery finished: RELAY_RUN_TIMEOUT has passed', 'bad'],
  runUnidentified: ["the delivery finished: its workflow run can't be identified", 'bad'],
  runDeleted: ['the delivery finished: its workflow run was deleted', 'bad'],
  runHidden: [
    'the delivery finished with the result that a job reported: GitHub refuses to show the workflow run',
    'plain',
  ],
  redelivered: ['the delivery is queued again', 'plain'],
  cancelRequested: ['a user canceled the delivery', 'plain'],
  cancelSent: ['GitHub was asked to cancel the workflow run', 'wait'],
  cancelRejected: ["GitHub doesn't allow the relay to cancel the workflow run", 'bad'],
  cancelled: ['the delivery was canceled before a workflow run started', 'plain'],
  approvalSeen: ['the workflow run is waiting for an approval, or a reviewer decided', 'wait'],
} satisfies Record<string, [string, Tone]>

export type HistoryType = keyof typeof HISTORY
