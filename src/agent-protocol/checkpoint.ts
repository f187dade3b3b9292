import { type Static, Type } from 'typebox'

/** Field names are those of the public trainML client; times are ISO 8601 in UTC with milliseconds. */

export const CheckpointStatus = Type.Union([
  Type.Literal('new'),
  Type.Literal('downloading'),
  Type.Literal('ready'),
  Type.Literal('failed'),
  Type.Literal('exporting'),
  Type.Literal('removing'),
  Type.Literal('archived'),
])
export type CheckpointStatus = Static<typeof CheckpointStatus>

export const Progress = Type.Object({
  phase: Type.String({
    description: 'what is being done: planning, fetching, extracting, publishing, …',
  }),
  waiting_for: Type.Optional(Type.String({ description: 'what it waits for, if it waits' })),
  bytes_done: Type.Integer({ description: 'bytes fetched (or read) so far' }),
  bytes_total: Type.Optional(Type.Integer({ description: 'bytes to fetch, where known' })),
  files_done: Type.Integer(),
  files_total: Type.Optional(Type.Integer()),
  bytes_per_second: Type.Integer({ description: 'over the last few seconds' }),
  seconds_left: Type.Optional(Type.Integer()),
})
export type Progress = Static<typeof Progress>

export const ErrorBody = Type.Object({
  code: Type.String(),
  message: Type.String(),
  hint: Type.String(),
  retryable: Type.Boolean(),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type ErrorBody = Static<typeof ErrorBody>

/** The body of an answer of 400 and above; `errorMessage` is what the trainML client reads. */
export const ErrorAnswer = Type.Object({ errorMessage: Type.String(), ...ErrorBody.properties })
export type ErrorAnswer = Static<typeof ErrorAnswer>

export const Checkpoint = Type.Object(
  {
    checkpoint_uuid: Type.String(),
    id: Type.String({ description: 'the same as checkpoint_uuid' }),
    project_uuid: Type.String(),
    name: Type.String(),
    type: Type.String({ description: 'always evefs' }),
    status: CheckpointStatus,
    source_type: Type.String(),
    source_uri: Type.String({ description: 'without user information; the query shown as ?…' }),
    source_options: Type.Record(Type.String(), Type.String()),
    size: Type.Integer({ description: 'bytes of the tree' }),
    billed_size: Type.Integer({ description: 'bytes' }),
    file_count: Type.Integer(),
    createdAt: Type.String(),
    readyAt: Type.Optional(Type.String()),
    manifest_sha256: Type.Optional(Type.String({ description: 'identity of the content' })),
    pinned_source: Type.Optional(Type.String({ description: 'what exactly was fetched' })),
    progress: Type.Optional(Progress),
    error: Type.Optional(ErrorBody),
    used_by: Type.Array(
      Type.Object({
        job_uuid: Type.String(),
        name: Type.String(),
        mounted_workers: Type.Integer(),
      }),
    ),
  },
  { $id: 'Checkpoint' },
)
export type Checkpoint = Static<typeof Checkpoint>

export const CheckpointCreate = Type.Object(
  {
    name: Type.String(),
    source_type: Type.String(),
    source_uri: Type.String(),
    source_options: Type.Optional(Type.Record(Type.String(), Type.String())),
    project_uuid: Type.Optional(Type.String()),
    type: Type.Optional(Type.String({ description: 'accepted for the client; only evefs' })),
  },
  { $id: 'CheckpointCreate', additionalProperties: true },
)
export type CheckpointCreate = Static<typeof CheckpointCreate>

export const CheckpointRename = Type.Object(
  { name: Type.String() },
  { $id: 'CheckpointRename', additionalProperties: true },
)

export const TreeEntry = Type.Object({
  path: Type.String(),
  kind: Type.Union([Type.Literal('file'), Type.Literal('directory'), Type.Literal('symlink')]),
  size: Type.Optional(Type.Integer()),
  sha256: Type.Optional(Type.String()),
  executable: Type.Optional(Type.Boolean()),
  target: Type.Optional(Type.String()),
})
export type TreeEntry = Static<typeof TreeEntry>

/** `GET /checkpoint/{id}/details`: the shape the trainML client prints. */
export const CheckpointDetails = Type.Object({
  type: Type.Literal('directory'),
  name: Type.Literal('/'),
  count: Type.String({ description: 'number of entries' }),
  size: Type.String({ description: 'as people read it' }),
  contents: Type.Array(TreeEntry, {
    description: 'in manifest order, at most `limit` from `offset`',
  }),
})
export type CheckpointDetails = Static<typeof CheckpointDetails>

export const LogLine = Type.Object({
  time: Type.Integer({ description: 'ms since 1970' }),
  msg: Type.String(),
})
export type LogLine = Static<typeof LogLine>

/**
 * One line of `GET /v1/checkpoints/{id}/events` (NDJSON): log lines and progress while it is
 * filled, the checkpoint itself as the last line, or the error.
 */
export const CheckpointEvent = Type.Union([
  Type.Object({ type: Type.Literal('log'), time: Type.Integer(), msg: Type.String() }),
  Type.Object({ type: Type.Literal('progress'), progress: Progress }),
  Type.Object({ type: Type.Literal('result'), checkpoint: Checkpoint }),
  Type.Object({ type: Type.Literal('error'), error: ErrorBody }),
])
export type CheckpointEvent = Static<typeof CheckpointEvent>

export const VerifyReport = Type.Object({
  checked_objects: Type.Integer(),
  checked_bytes: Type.Integer(),
  bad: Type.Array(
    Type.Object({
      kind: Type.Union([Type.Literal('object'), Type.Literal('manifest'), Type.Literal('view')], {
        description: 'of bytes; of a list of files; of a directory that is mounted',
      }),
      sha256: Type.String({ description: 'of the object, or of the manifest and its view' }),
      executable: Type.Boolean(),
      problem: Type.String(),
      checkpoints: Type.Array(
        Type.Object({
          checkpoint_uuid: Type.String(),
          name: Type.String(),
          paths: Type.Array(Type.String(), { description: 'of the object in its tree' }),
        }),
      ),
      other_checkpoints: Type.Integer({
        description: 'how many checkpoints of other projects have it; 0 where all are listed',
      }),
      mounted_by: Type.Array(
        Type.Object({ job_uuid: Type.String(), name: Type.String(), worker: Type.Integer() }),
      ),
    }),
  ),
})
export type VerifyReport = Static<typeof VerifyReport>

/** One line of `POST /v1/verify` and `POST /v1/checkpoints/{reference}/verify` (NDJSON). */
export const VerifyEvent = Type.Union([
  Type.Object({ type: Type.Literal('progress'), progress: Progress }),
  Type.Object({ type: Type.Literal('result'), report: VerifyReport }),
  Type.Object({ type: Type.Literal('error'), error: ErrorBody }),
])
export type VerifyEvent = Static<typeof VerifyEvent>
