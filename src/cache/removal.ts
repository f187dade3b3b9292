import { setImmediate as turn } from 'node:timers/promises'
import type { ObjectRow } from '../database/objects.ts'
import type { CheckpointId } from '../model/ids.ts'
import { failpoint } from '../os/failpoint.ts'
import type { IngestContext } from './ingest.ts'
import type { Publisher } from './publish.ts'
import type { Views } from './views.ts'

export interface Removal {
  /**
   * Gives back everything that a checkpoint in state `removing` held: its view, manifest and
   * objects as far as no other checkpoint has them, its staging, its rows. Whoever marked it
   * has made sure that no job uses it. May be repeated after a crash at any point.
   */
  finish(id: CheckpointId): Promise<void>
  /** Drops what the filling of a checkpoint recorded and staged (it failed or was cancelled). */
  dropIngest(id: CheckpointId): Promise<void>
  /** Drops the entries that an ingest left behind when it was published. */
  dropEntries(id: CheckpointId): Promise<void>
  /** Removes a manifest that is nobody's. */
  dropManifest(manifestId: number): Promise<void>
  /** Unlinks the objects that are marked and forgets them. */
  sweep(): Promise<void>
}

export function removal(context: IngestContext, views: Views, publisher: Publisher): Removal {
  const { database, layout, threads, writer } = context

  /** In the caller's transaction: marks those that nothing refers to any more. */
  const markUnreferenced = (objectIds: readonly number[]): void => {
    for (const id of objectIds) {
      if (database.objects.isReferenced(id)) continue
      const row = database.objects.get(id)
      // Whoever is about to name this content looks after its row.
      if (row !== undefined && !writer.isClaimed(row)) database.objects.setState(id, 'deleting')
    }
  }

  const sweepAll = async (): Promise<void> => {
    for (;;) {
      const objects = database.objects.listInState('deleting', SWEEP_OBJECTS)
      if (objects.length === 0) return
      await database.flush()
      await threads.use((remote) =>
        remote.unlinkFiles(objects.map((row) => objectPath(context, row))),
      )
      failpoint('removal.object-unlinked')
      for (let from = 0; from < objects.length; from += TURN_OBJECTS) {
        database.transaction(() => {
          for (const { id } of objects.slice(from, from + TURN_OBJECTS)) database.objects.remove(id)
        })
        await turn()
      }
    }
  }
  let sweeping: Promise<void> | undefined
  let next: Promise<void> | undefined
  const start = (): Promise<void> => {
    next = undefined
    sweeping = sweepAll().finally(() => {
      sweeping = undefined
    })
    return sweeping
  }
  /** Objects marked after the last look of a sweep under way need another, shared by all who ask. */
  const sweep = (): Promise<void> => {
    if (sweeping === undefined) return start()
    next ??= sweeping.then(start, start)
    return next
  }

  const dropEntries = async (id: CheckpointId): Promise<void> => {
    for (;;) {
      const removed = database.transaction(() => {
        const objectIds = database.entries.removeSome(id)
        if (objectIds !== undefined) markUnreferenced(objectIds)
        return objectIds
      })
      if (removed === undefined) break
      await turn()
    }
    await sweep()
  }

  const dropIngest = async (id: CheckpointId): Promise<void> => {
    database.ingests.remove(id)
    await dropEntries(id)
    await threads.use((remote) => remote.removeTree(layout.ingest(id)))
    for (const manifestId of publisher.takeAbandoned()) await dropManifest(manifestId)
  }

  /** One at a time for each manifest: the second would remove what came after the first. */
  const dropping = new Map<number, Promise<void>>()
  const dropManifest = (manifestId: number): Promise<void> => {
    const existing = dropping.get(manifestId)
    if (existing !== undefined) return existing
    const started = dropOne(manifestId).finally(() => dropping.delete(manifestId))
    dropping.set(manifestId, started)
    return started
  }

  const dropOne = async (manifestId: number): Promise<void> => {
    const manifest = database.manifests.get(manifestId)
    if (manifest === undefined) return
    const marked = database.transaction(() => {
      if (manifest.state === 'live') {
        const wanted =
          publisher.isClaimed(manifestId) ||
          database.checkpoints.listByManifest(manifestId).length > 0 ||
          database.leases.listOfManifest(manifestId).length > 0
        if (wanted) return false
        database.manifests.setState(manifestId, 'deleting')
      }
      for (const view of database.views.listOfManifest(manifestId))
        database.views.setState(view.id, 'deleting')
      return true
    })
    if (!marked) return
    await database.flush()
    failpoint('removal.marked')
    await views.removeDisposable()
    for (;;) {
      const dropped = database.transaction(() => {
        const ids = database.manifests.dropSomeObjects(manifestId)
        markUnreferenced(ids)
        return ids.length
      })
      if (dropped === 0) break
      await turn()
    }
    await sweep()
    const path = layout.manifest(manifest.domain, manifest.digest)
    await threads.use((remote) => remote.unlinkFiles([path]))
    database.manifests.remove(manifestId)
  }

  const finish = async (id: CheckpointId): Promise<void> => {
    await dropIngest(id)
    const manifestId = database.checkpoints.find(id)?.manifest_id ?? null
    if (manifestId !== null) {
      database.checkpoints.clearManifest(id)
      await dropManifest(manifestId)
    }
    await threads.use((remote) => remote.unlinkFiles([layout.sidecar(id)]))
    database.checkpoints.remove(id)
    await database.flush()
    failpoint('removal.finished')
  }

  return { finish, dropIngest, dropEntries, dropManifest, sweep }
}

/** Unlinked at once, behind one flush of their marks. */
const SWEEP_OBJECTS = 4096
/** Rows forgotten before others get their turn on the main thread (some milliseconds). */
const TURN_OBJECTS = 256

function objectPath({ layout }: IngestContext, row: ObjectRow): string {
  return layout.object({
    domain: row.domain,
    sha256: row.sha256,
    executable: row.executable === 1,
    copy: row.copy,
  })
}
