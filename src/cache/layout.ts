import { join } from 'node:path'
import type { Sha256 } from '../model/digest.ts'
import type { CheckpointId, JobId } from '../model/ids.ts'

/**
 * Where things lie below a data directory (docs/storage-layout.md). A sharing domain is
 * `host`, or `project-<project>` where projects share nothing.
 */
export interface Layout {
  readonly root: string
  readonly database: string
  readonly lock: string
  readonly sealKey: string
  readonly objects: string
  readonly manifests: string
  readonly views: string
  readonly sidecars: string
  readonly staging: string
  readonly quarantine: string
  object(key: { domain: string; sha256: Sha256; executable: boolean; copy: number }): string
  manifest(domain: string, digest: Sha256): string
  view(domain: string, name: string): string
  sidecar(id: CheckpointId): string
  ingest(id: CheckpointId): string
  /** Where the helper puts a worker's output for it to be captured. */
  output(job: JobId, worker: number): string
}

/** In `staging/`, of the outputs that were handed over: `output.<job>.<worker>`. */
export const OUTPUT_PREFIX = 'output.'

export function storeLayout(root: string): Layout {
  const below = (name: string): string => join(root, name)
  return {
    root,
    database: below('ckptd.db'),
    lock: below('lock'),
    sealKey: below('seal.key'),
    objects: below('objects'),
    manifests: below('manifests'),
    views: below('views'),
    sidecars: below('checkpoints'),
    staging: below('staging'),
    quarantine: below('quarantine'),
    object: (key) => join(root, 'objects', key.domain, objectFileName(key)),
    manifest: (domain, digest) => join(root, 'manifests', domain, digest),
    view: (domain, name) => join(root, 'views', domain, name),
    sidecar: (id) => join(root, 'checkpoints', `${id}.json`),
    ingest: (id) => join(root, 'staging', id),
    output: (job, worker) => join(root, 'staging', `${OUTPUT_PREFIX}${job}.${worker}`),
  }
}

/** `<sha256>`, `.x` where it is executable, `.<n>` for the n-th further inode of the content. */
export function objectFileName(key: { sha256: Sha256; executable: boolean; copy: number }): string {
  return `${key.sha256}${key.executable ? '.x' : ''}${key.copy > 0 ? `.${key.copy}` : ''}`
}

const OBJECT_FILE_NAME = /^([0-9a-f]{64})(\.x)?(?:\.([1-9]\d{0,6}))?$/

/** Undefined where no object could have this file name. */
export function parseObjectFileName(
  name: string,
): { sha256: Sha256; executable: boolean; copy: number } | undefined {
  const match = OBJECT_FILE_NAME.exec(name)
  if (match === null) return undefined
  return {
    sha256: match[1] as Sha256,
    executable: match[2] !== undefined,
    copy: Number(match[3] ?? 0),
  }
}

/** The directory name of a view: its manifest's digest and its generation. */
export function viewName(digest: Sha256, generation: number): string {
  return `${digest}.${generation}`
}
