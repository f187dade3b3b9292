import { type Static, Type } from 'typebox'
import { ErrorBody, Progress } from './checkpoint.ts'

export const WorkerState = Type.Union([
  Type.Literal('registered'),
  Type.Literal('waiting'),
  Type.Literal('mounted'),
  Type.Literal('finishing'),
  Type.Literal('finished'),
])
export type WorkerState = Static<typeof WorkerState>

export const Holder = Type.Object({
  pid: Type.Integer(),
  command: Type.String(),
  path: Type.String({ description: 'what it holds' }),
})
export type Holder = Static<typeof Holder>

export const Worker = Type.Object({
  worker: Type.Integer({ description: 'from 1' }),
  state: WorkerState,
  outcome: Type.Optional(Type.String()),
  exit_code: Type.Optional(Type.Integer()),
  output_uuid: Type.Optional(Type.String({ description: 'the checkpoint its output became' })),
  output_kept: Type.Optional(
    Type.Object(
      { path: Type.String(), until: Type.String() },
      { description: 'its output directory, where not all of it could be saved' },
    ),
  ),
  waiting_for: Type.Optional(Type.String()),
  held_by: Type.Optional(
    Type.Array(Holder, { description: 'who keeps its mounts from being released' }),
  ),
  error: Type.Optional(ErrorBody),
})
export type Worker = Static<typeof Worker>

export const Job = Type.Object(
  {
    job_uuid: Type.String(),
    id: Type.String(),
    project_uuid: Type.String(),
    name: Type.String(),
    type: Type.String(),
    status: Type.Union([
      Type.Literal('registered'),
      Type.Literal('running'),
      Type.Literal('finished'),
    ]),
    worker_count: Type.Integer(),
    createdAt: Type.String(),
    model: Type.Object({
      checkpoints: Type.Array(
        Type.Object({
          checkpoint_uuid: Type.String(),
          name: Type.String(),
          directory: Type.String({ description: '"" where it is the whole checkpoint directory' }),
        }),
      ),
    }),
    data: Type.Object({
      output_type: Type.Optional(Type.String()),
      output_uri: Type.Optional(Type.String()),
    }),
    workers: Type.Array(Worker),
  },
  { $id: 'Job' },
)
export type Job = Static<typeof Job>

export const JobCreate = Type.Object(
  {
    name: Type.String(),
    project_uuid: Type.Optional(Type.String()),
    type: Type.Optional(
      Type.Union([
        Type.Literal('training'),
        Type.Literal('inference'),
        Type.Literal('notebook'),
        Type.Literal('endpoint'),
      ]),
    ),
    worker_count: Type.Optional(Type.Integer({ minimum: 1 })),
    model: Type.Optional(
      Type.Object({
        checkpoints: Type.Optional(
          Type.Array(
            Type.Union([
              Type.String(),
              Type.Object({ id: Type.String(), public: Type.Optional(Type.Boolean()) }),
            ]),
          ),
        ),
      }),
    ),
    data: Type.Optional(
      Type.Object({
        output_type: Type.Optional(Type.String({ description: 'trainml' })),
        output_uri: Type.Optional(Type.String({ description: 'checkpoint' })),
      }),
    ),
  },
  { $id: 'JobCreate' },
)
export type JobCreate = Static<typeof JobCreate>

export const MountRequest = Type.Object(
  {
    cdi: Type.Optional(Type.Boolean({ description: 'also write a CDI device' })),
    output_owner: Type.Optional(
      Type.String({
        pattern: '^\\d{1,10}:\\d{1,10}$',
        description: 'uid:gid on the host that will write the output; without it anybody may',
      }),
    ),
  },
  { $id: 'MountRequest' },
)
export type MountRequest = Static<typeof MountRequest>

/** What the runner needs, whatever its runtime. */
export const MountResult = Type.Object(
  {
    job_uuid: Type.String(),
    worker: Type.Integer(),
    checkpoint_path: Type.Optional(Type.String({ description: 'on the host' })),
    output_path: Type.Optional(Type.String({ description: 'on the host' })),
    mounts: Type.Array(
      Type.Object({
        destination: Type.String(),
        type: Type.Literal('bind'),
        source: Type.String(),
        options: Type.Array(Type.String()),
      }),
      { description: 'mounts of the OCI runtime specification' },
    ),
    env: Type.Array(Type.String(), {
      description: 'NAME=value, as in the OCI runtime specification',
    }),
    run_args: Type.Array(Type.String(), { description: 'arguments for podman run and docker run' }),
    cdi_device: Type.Optional(Type.String({ description: 'for --device, if asked for' })),
  },
  { $id: 'MountResult' },
)
export type MountResult = Static<typeof MountResult>

/** 202: the checkpoints are not ready yet; ask again, or wait longer with `?wait=SECONDS`. */
export const MountPending = Type.Object(
  {
    job_uuid: Type.String(),
    worker: Type.Integer(),
    waiting_for: Type.Array(
      Type.Object({
        checkpoint_uuid: Type.String(),
        name: Type.String(),
        status: Type.String(),
        progress: Type.Optional(Progress),
      }),
    ),
  },
  { $id: 'MountPending' },
)
export type MountPending = Static<typeof MountPending>

/** One line of a mount asked for with `Accept: application/x-ndjson`. */
export const MountEvent = Type.Union([
  Type.Object({ type: Type.Literal('pending'), pending: MountPending }),
  Type.Object({ type: Type.Literal('result'), mount: MountResult }),
  Type.Object({ type: Type.Literal('error'), error: ErrorBody }),
])
export type MountEvent = Static<typeof MountEvent>

export const FinishRequest = Type.Object(
  {
    outcome: Type.Optional(
      Type.Union([Type.Literal('succeeded'), Type.Literal('failed'), Type.Literal('stopped')]),
    ),
    exit_code: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
    discard_output: Type.Optional(Type.Boolean()),
  },
  { $id: 'FinishRequest' },
)
export type FinishRequest = Static<typeof FinishRequest>
