import type { JobCreate, MountRequest, MountResult } from '../../agent-protocol/job.ts'
import type { WorkerCommand } from './worker-process.ts'

/** One `ckpt run`, checked as far as that can be done before anything is registered. */
export interface RunOrder {
  readonly job: JobCreate
  readonly mount: MountRequest
  /** The command line of a worker; throws a CommandError where there can be none. */
  readonly commandOf: (mount: MountResult) => WorkerLine
}

/** A command line, and how to see the end of its container. */
type WorkerLine = Pick<WorkerCommand, 'argv' | 'container'>

export interface MountedWorker {
  readonly mount: MountResult
  readonly line: WorkerLine
}

export type JobType = NonNullable<JobCreate['type']>

export const JOB_TYPES = [
  'training',
  'inference',
  'notebook',
  'endpoint',
] as const satisfies readonly JobType[]

/** What the user asked for, before the command line is understood. */
export interface RunRequest {
  readonly job: JobCreate
  readonly mount: MountRequest
  readonly command: readonly string[]
}
