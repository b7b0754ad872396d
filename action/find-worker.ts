/**
 * The process whose end is the job's, for one that main starts; 0 where that cannot be known: in a container main's
 * parent is none of the runner's, and what runs there ends with the container.
 */
export function findWorker(tempFolder: string): number {
  return tempFolder.startsWith('/__w/') ? 0 : process.ppid
}
