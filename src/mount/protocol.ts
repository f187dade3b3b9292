import { type Static, Type } from 'typebox'
import { MAX_JOB_CHECKPOINTS, MAX_JOB_WORKERS } from '../model/limits.ts'

/**
 * What the daemon and the mount helper say to each other: one JSON object a line over a unix
 * socket. The first request of a connection is `hello`; each answer carries its request's id.
 * The helper runs as root and trusts none of it: every object is closed, every string bounded.
 */
export const PROTOCOL_VERSION = 1
/** One request in bytes: 64 views with 255-byte directories, escaped, take about 50 KB. */
export const MAX_REQUEST_BYTES = 256 * 1024
/** One answer in bytes: a list of 100,000 workers. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024

const closed = { additionalProperties: false }

const workerParams = {
  job: Type.String({ maxLength: 36 }),
  worker: Type.Integer({ minimum: 1, maximum: MAX_JOB_WORKERS }),
}
const WorkerParams = Type.Object(workerParams, closed)
export type WorkerParams = Static<typeof WorkerParams>

/** A view's name below `views/`: its sharing domain, then its manifest's digest and generation. */
export const VIEW_NAME =
  '^(host|project-[A-Za-z0-9][A-Za-z0-9._-]{0,63})/[0-9a-f]{64}\\.[0-9]{1,9}$'

const MountedView = Type.Object(
  {
    view: Type.String({ pattern: VIEW_NAME }),
    /** "" where the view is the whole checkpoint directory; otherwise one safe component. */
    directory: Type.String({ maxLength: 255 }),
  },
  closed,
)
export type MountedView = Static<typeof MountedView>

/** 2^32 - 1 means "leave as it is" to the kernel, so it is nobody's id. */
const OwnerId = Type.Integer({ minimum: 0, maximum: 2 ** 32 - 2 })

const MountWorkerParams = Type.Object(
  {
    ...workerParams,
    views: Type.Array(MountedView, { maxItems: MAX_JOB_CHECKPOINTS }),
    output: Type.Optional(
      Type.Object(
        { owner: Type.Optional(Type.Object({ uid: OwnerId, gid: OwnerId }, closed)) },
        closed,
      ),
    ),
  },
  closed,
)
export type MountWorkerParams = Static<typeof MountWorkerParams>

/** Who keeps something mounted; pid 0: no process but a mount in the host's own table. */
export const Holder = Type.Object({
  pid: Type.Integer(),
  command: Type.String(),
  path: Type.String(),
})
export type Holder = Static<typeof Holder>

const ListedWorker = Type.Object({
  job: Type.String(),
  worker: Type.Integer(),
  /** A view's name is null where the mounted directory is no view by its path (any more). */
  views: Type.Array(
    Type.Object({ view: Type.Union([Type.String(), Type.Null()]), directory: Type.String() }),
  ),
  output: Type.Boolean(),
  /** A release began and has not finished: ask `releaseWorker` again. */
  releasing: Type.Boolean(),
})
export type ListedWorker = Static<typeof ListedWorker>

const Holders = Type.Optional(Type.Array(Holder))

export const VERBS = {
  hello: {
    params: Type.Object({ protocol: Type.Integer() }, closed),
    answer: Type.Object({ protocol: Type.Integer(), pid: Type.Integer() }),
  },
  mountWorker: {
    params: MountWorkerParams,
    answer: Type.Object({
      checkpointPath: Type.Optional(Type.String()),
      outputPath: Type.Optional(Type.String()),
    }),
  },
  releaseWorker: {
    params: WorkerParams,
    answer: Type.Object({ released: Type.Boolean(), holders: Holders }),
  },
  writeCdi: { params: WorkerParams, answer: Type.Object({ device: Type.String() }) },
  list: {
    params: Type.Object({}, closed),
    answer: Type.Object({
      workers: Type.Array(ListedWorker),
      /** Output directories that exist, mounted or not. */
      outputs: Type.Array(Type.Object({ job: Type.String(), worker: Type.Integer() })),
    }),
  },
  handOverOutput: {
    params: WorkerParams,
    answer: Type.Object({
      handedOver: Type.Boolean(),
      /** Its name below `staging/`. */
      stagingName: Type.Optional(Type.String()),
      holders: Holders,
    }),
  },
  discardOutput: {
    params: WorkerParams,
    answer: Type.Object({ discarded: Type.Boolean(), holders: Holders }),
  },
} as const

export type Verb = keyof typeof VERBS
/** The verbs that do something; `hello` is the connection's own. */
export type MountVerb = Exclude<Verb, 'hello'>
export type Params<V extends Verb> = Static<(typeof VERBS)[V]['params']>
export type Answer<V extends Verb> = Static<(typeof VERBS)[V]['answer']>
export type MountVerbs = {
  readonly [V in MountVerb]: (params: Params<V>) => Answer<V> | Promise<Answer<V>>
}
