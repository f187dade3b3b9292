import type { Checkpoint } from '../../agent-protocol/checkpoint.ts'
import type { CheckpointRow } from '../../database/checkpoints.ts'
import { CkptdError, type ErrorRecord, fromErrorRecord } from '../../model/errors.ts'
import type { Context } from '../context.ts'
import { errorBody } from './error-answer.ts'

/** A checkpoint as callers see it; nothing sealed is in reach of it. */
export function checkpointResource(context: Context, row: CheckpointRow): Checkpoint {
  const { database } = context.store
  const progress = context.checkpoints.progress(row.id)
  const manifest = row.manifest_id === null ? undefined : database.manifests.get(row.manifest_id)
  const damaged =
    row.manifest_id === null ? 0 : database.objects.countQuarantinedOf(row.manifest_id)
  const error =
    damaged > 0
      ? new CkptdError('corrupt', `${damaged} of its objects are damaged; it cannot be mounted`)
      : row.error === null
        ? undefined
        : fromErrorRecord(JSON.parse(row.error) as ErrorRecord)
  return {
    checkpoint_uuid: row.id,
    id: row.id,
    project_uuid: row.project,
    name: row.name,
    type: 'evefs',
    status: row.status,
    source_type: row.source_type,
    source_uri: row.source_uri,
    source_options: JSON.parse(row.source_options) as Record<string, string>,
    size: row.size_bytes,
    billed_size: row.size_bytes,
    file_count: row.file_count,
    createdAt: new Date(row.created_at_ms).toISOString(),
    ...(row.ready_at_ms === null ? {} : { readyAt: new Date(row.ready_at_ms).toISOString() }),
    ...(manifest === undefined ? {} : { manifest_sha256: manifest.digest }),
    ...(row.pinned_source === null ? {} : { pinned_source: row.pinned_source }),
    ...(progress === undefined ? {} : { progress }),
    ...(error === undefined ? {} : { error: errorBody(error) }),
    used_by: database.jobs.listUses(row.id).map(({ id, name, mounted_workers }) => ({
      job_uuid: id,
      name,
      mounted_workers,
    })),
  }
}
