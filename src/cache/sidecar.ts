import type { CheckpointRow } from '../database/checkpoints.ts'

/**
 * What `checkpoints/<id>.json` holds: all that the database could not otherwise be rebuilt
 * from. Written crash-safely before a checkpoint is ready and at each rename.
 */
export function encodeSidecar(
  checkpoint: Pick<
    CheckpointRow,
    | 'id'
    | 'project'
    | 'name'
    | 'domain'
    | 'source_type'
    | 'source_uri'
    | 'source_options'
    | 'pinned_source'
    | 'size_bytes'
    | 'file_count'
    | 'created_at_ms'
    | 'ready_at_ms'
  >,
  manifestDigest: string,
): string {
  const sidecar = {
    format: 'ckptd-checkpoint',
    version: 1,
    id: checkpoint.id,
    project: checkpoint.project,
    name: checkpoint.name,
    domain: checkpoint.domain,
    manifest: manifestDigest,
    source_type: checkpoint.source_type,
    source_uri: checkpoint.source_uri,
    source_options: JSON.parse(checkpoint.source_options) as unknown,
    pinned_source: checkpoint.pinned_source,
    size_bytes: checkpoint.size_bytes,
    file_count: checkpoint.file_count,
    created_at_ms: checkpoint.created_at_ms,
    ready_at_ms: checkpoint.ready_at_ms,
  }
  return `${JSON.stringify(sidecar, undefined, 2)}\n`
}
