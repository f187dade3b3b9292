import type { Logger } from './logger.ts'

/** Everything the verbs work on; made once at the helper's start. */
export interface MountHost {
  /** Belongs to the peer, and so does what is below it, except `outputs/`. */
  readonly dataDir: string
  readonly peerUid: number
  readonly peerGid: number
  readonly cdiDir: string
  readonly containerPrefix: string
  readonly envPrefix: string
  readonly jobs: JobsMount
  readonly log: Logger
  /** Fires when the helper stops: long walks end at their next step. */
  readonly signal: AbortSignal
}

/** `<runtime>/jobs`, a tmpfs of its own that only root can enter. */
export interface JobsMount {
  readonly path: string
  readonly fd: number
  /** Its id in the kernel's table of this mount namespace. */
  readonly mountId: number
  /** Its "major:minor" in every kernel table. */
  readonly device: string
}

/** A user and a group on the host. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** One worker of a job, validated: `key` is the name of its output below `outputs/`. */
export interface WorkerRef {
  readonly job: string
  readonly worker: number
  readonly key: string
}
