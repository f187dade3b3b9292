import { type Static, Type } from 'typebox'

/** `GET /v1/mounts`: what is mounted for whom. */
export const MountRow = Type.Object(
  {
    job_uuid: Type.String(),
    job_name: Type.String(),
    project_uuid: Type.String(),
    worker: Type.Integer(),
    state: Type.String(),
    path: Type.String(),
    checkpoints: Type.Array(Type.Object({ checkpoint_uuid: Type.String(), name: Type.String() })),
    since: Type.String(),
  },
  { $id: 'MountRow' },
)
export type MountRow = Static<typeof MountRow>

/** `GET /v1/df`: all sizes in bytes. */
export const DiskUsage = Type.Object(
  {
    data_dir: Type.String(),
    filesystem: Type.Object({
      size: Type.Integer(),
      free: Type.Integer({ description: 'what an unprivileged user may still write' }),
      min_free: Type.Integer({ description: 'the floor that transfers never touch' }),
      reserved: Type.Integer({ description: 'set aside for transfers under way' }),
    }),
    store: Type.Object({
      physical: Type.Integer({ description: 'objects, each once' }),
      logical: Type.Integer({ description: 'all ready checkpoints, each by its size' }),
      saved_by_sharing: Type.Integer(),
      reclaimable: Type.Integer({ description: 'held by no checkpoint' }),
      in_use: Type.Integer({ description: 'objects of checkpoints that are mounted' }),
      staging: Type.Integer({ description: 'of transfers and captures under way' }),
      objects: Type.Integer({ description: 'how many' }),
      quarantine: Type.Integer({ description: 'damaged files, moved aside' }),
      kept_outputs: Type.Integer({
        description: 'how many output directories are kept, since not all of each could be saved',
      }),
    }),
    projects: Type.Array(
      Type.Object({
        project_uuid: Type.String(),
        checkpoints: Type.Integer({ description: 'how many' }),
        logical: Type.Integer(),
        billed: Type.Integer(),
        free_allotment_left: Type.Integer(),
        billable: Type.Integer({ description: 'beyond the free 50 GB' }),
      }),
    ),
  },
  { $id: 'DiskUsage' },
)
export type DiskUsage = Static<typeof DiskUsage>

/** `GET /v1/status`. */
export const DaemonStatus = Type.Object(
  {
    version: Type.String(),
    state: Type.Union([
      Type.Literal('starting'),
      Type.Literal('running'),
      Type.Literal('stopping'),
    ]),
    pid: Type.Integer(),
    data_dir: Type.String(),
    runtime_dir: Type.String(),
    mounts: Type.Object({ available: Type.Boolean(), reason: Type.Optional(Type.String()) }),
    transfers: Type.Integer(),
    mounted_workers: Type.Integer(),
  },
  { $id: 'DaemonStatus' },
)
export type DaemonStatus = Static<typeof DaemonStatus>
