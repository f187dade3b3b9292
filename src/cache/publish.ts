import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { EntryRow } from '../database/entries.ts'
import type { Sha256 } from '../model/digest.ts'
import { CkptdError } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import {
  encodeManifestEntry,
  MANIFEST_HEADER,
  type ManifestEntry,
} from '../model/manifest-entry.ts'
import { fileError } from '../os/errno.ts'
import { failpoint } from '../os/failpoint.ts'
import { assertLinkInside, type IngestContext, stagedManifest } from './ingest.ts'
import { encodeSidecar } from './sidecar.ts'
import type { Views } from './views.ts'

export interface Publisher {
  /**
   * Makes the whole tree of an ingest a ready checkpoint: manifest → references → view →
   * sidecar → database → flushed. Every step may be repeated after a crash. Throws
   * `invalid_path` for a link that leaves the tree; then nothing is ready.
   */
  publish(id: CheckpointId, nowMs: number): Promise<void>
  /** Whether a manifest is about to become somebody's, so that it must not be removed. */
  isClaimed(manifestId: number): boolean
  /** Manifests whose publishing failed since the last call: nobody's, if no other has them. */
  takeAbandoned(): number[]
}

export function publisher(
  context: IngestContext,
  views: Views,
  dropManifest: (manifestId: number) => Promise<void>,
): Publisher {
  const { database, layout, threads } = context
  const claims = new Map<number, number>()
  const abandoned = new Set<number>()

  const claim = (manifestId: number): Disposable & { readonly manifestId: number } => {
    claims.set(manifestId, (claims.get(manifestId) ?? 0) + 1)
    return {
      manifestId,
      [Symbol.dispose]: () => {
        const left = (claims.get(manifestId) ?? 1) - 1
        if (left === 0) claims.delete(manifestId)
        else claims.set(manifestId, left)
      },
    }
  }

  /** The manifest's row, claimed in the same step; one that is being removed goes first. */
  const claimManifest = async (
    domain: string,
    written: WrittenManifest,
  ): Promise<ReturnType<typeof claim>> => {
    for (;;) {
      const existing = database.manifests.find(domain, written.digest)
      if (existing?.state === 'live') return claim(existing.id)
      if (existing === undefined)
        return claim(
          database.manifests.insert({
            domain,
            digest: written.digest,
            size_bytes: written.sizeBytes,
            file_count: written.fileCount,
            entry_count: written.entryCount,
          }),
        )
      // Joins the removal under way, or finishes one that failed.
      await dropManifest(existing.id)
    }
  }

  const fill = async (
    id: CheckpointId,
    manifestId: number,
    written: WrittenManifest,
    nowMs: number,
  ): Promise<void> => {
    const { domain } = getCheckpoint(context, id)
    // After its row: the removal of an equal manifest ends with the removal of this file.
    await threads.use((remote) =>
      remote.publishFile(stagedManifest(layout, id), layout.manifest(domain, written.digest)),
    )
    await referObjects(context, manifestId, id)
    failpoint('manifest.recorded')
    await views.ensure(manifestId)
    // Read again: it may have been renamed meanwhile.
    const checkpoint = getCheckpoint(context, id)
    const ready = {
      id,
      manifest_id: manifestId,
      size_bytes: written.sizeBytes,
      file_count: written.fileCount,
      ready_at_ms: nowMs,
    }
    const sidecar = encodeSidecar({ ...checkpoint, ...ready }, written.digest)
    await threads.use((remote) => remote.writeFileDurably(layout.sidecar(id), sidecar))
    failpoint('publish.sidecar-written')
    database.transaction(() => {
      // Whoever marked it for removal meanwhile was told that it goes.
      getCheckpoint(context, id)
      database.checkpoints.setReady(ready)
      database.ingests.remove(id)
    })
    await database.flush()
    failpoint('publish.recorded')
  }

  const publish = async (id: CheckpointId, nowMs: number): Promise<void> => {
    const { domain } = getCheckpoint(context, id)
    const written = await writeManifest(context, id)
    using claimed = await claimManifest(domain, written)
    const { manifestId } = claimed
    try {
      await fill(id, manifestId, written, nowMs)
    } catch (error) {
      abandoned.add(manifestId)
      throw error
    }
  }

  return {
    publish,
    isClaimed: (manifestId) => claims.has(manifestId),
    takeAbandoned: () => {
      const all = [...abandoned]
      abandoned.clear()
      return all
    },
  }
}

interface WrittenManifest {
  readonly digest: Sha256
  readonly sizeBytes: number
  readonly fileCount: number
  readonly entryCount: number
}

function getCheckpoint({ database }: IngestContext, id: CheckpointId): CheckpointRow {
  const checkpoint = database.checkpoints.find(id)
  if (checkpoint === undefined || checkpoint.status === 'removing')
    throw new CkptdError('cancelled', 'the checkpoint was removed')
  return checkpoint
}

/** Entries handled before others get their turn on the main thread (about a millisecond). */
const TURN_ENTRIES = 256

async function writeManifest(
  { database, layout }: IngestContext,
  id: CheckpointId,
): Promise<WrittenManifest> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  let fileCount = 0
  let entryCount = 0
  let pending = `${MANIFEST_HEADER}\n`
  try {
    await using file = await open(stagedManifest(layout, id), 'w', 0o600)
    const write = async (): Promise<void> => {
      const bytes = Buffer.from(pending)
      pending = ''
      hash.update(bytes)
      await file.writeFile(bytes)
    }
    for (const row of database.entries.iterate(id)) {
      if (row.kind === 'symlink') assertLinkInside(database, id, row.path, row.target ?? '')
      const entry = manifestEntry(row)
      pending += `${encodeManifestEntry(entry)}\n`
      entryCount += 1
      if (entry.kind === 'file') {
        fileCount += 1
        sizeBytes += entry.sizeBytes
      }
      if (entryCount % TURN_ENTRIES === 0) await write()
    }
    await write()
  } catch (error) {
    throw fileError(error, 'writing the manifest')
  }
  return { digest: hash.digest('hex') as Sha256, sizeBytes, fileCount, entryCount }
}

function manifestEntry(row: EntryRow): ManifestEntry {
  const { path } = row
  if (row.kind === 'directory') return { path, kind: 'directory' }
  if (row.kind === 'symlink') return { path, kind: 'symlink', target: row.target ?? '' }
  if (row.state !== 'stored' || row.sha256 === null || row.size_bytes === null)
    throw new CkptdError('internal', `${path} is not stored and cannot be published`)
  return {
    path,
    kind: 'file',
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    executable: row.executable === 1,
  }
}

async function referObjects(
  { database }: IngestContext,
  manifestId: number,
  id: CheckpointId,
): Promise<void> {
  let after = ''
  let count = 0
  let last = ''
  const add = async (): Promise<void> => {
    database.manifests.addObjectsOf(manifestId, id, after, last)
    after = last
    await turn()
  }
  for (const row of database.entries.iterate(id)) {
    last = row.path
    if (++count % TURN_ENTRIES === 0) await add()
  }
  if (last !== after) await add()
}
