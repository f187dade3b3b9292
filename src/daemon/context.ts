import type { Store } from '../cache/store.ts'
import type { MountClient } from '../mount/client.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Config } from './config.ts'
import type { WorkerFinishes } from './finish-worker.ts'
import type { Jobs } from './jobs.ts'
import type { Log } from './log.ts'
import type { WorkerMounts } from './mount-worker.ts'
import type { SingleFlight } from './single-flight.ts'
import type { Transfers } from './transfers.ts'

/** What the API's handlers work with; composed once, in daemon.ts. */
export interface Context {
  readonly config: Config
  readonly version: string
  readonly log: Log
  readonly now: () => number
  readonly store: Store
  readonly helper: MountClient
  readonly checkpoints: Checkpoints
  readonly transfers: Transfers
  readonly removals: SingleFlight<void>
  readonly jobs: Jobs
  readonly mounts: WorkerMounts
  readonly finishes: WorkerFinishes
  readonly state: () => 'starting' | 'running' | 'stopping'
  /** Aborted, with the error that callers get, when the daemon is asked to stop. */
  readonly stopping: AbortSignal
}
