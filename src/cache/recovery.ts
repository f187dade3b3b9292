import { join } from 'node:path'
import type { CheckpointId } from '../model/ids.ts'
import { isUuid } from '../model/ids.ts'
import type { IngestContext } from './ingest.ts'
import { OUTPUT_PREFIX, parseObjectFileName, viewName } from './layout.ts'
import type { Removal } from './removal.ts'
import { encodeSidecar } from './sidecar.ts'
import type { StoreThreads } from './store-threads.ts'
import type { Views } from './views.ts'

/**
 * One step that brings the store from between two operations to before or after one. What a
 * killed daemon leaves is a fixed set of shapes; each has its step.
 */
export type RecoveryStep =
  | { readonly kind: 'remove-staging'; readonly path: string }
  | { readonly kind: 'remove-orphan-object'; readonly path: string }
  | { readonly kind: 'remove-orphan-manifest'; readonly path: string }
  | { readonly kind: 'remove-orphan-view'; readonly path: string }
  | { readonly kind: 'rebuild-view-later'; readonly viewId: number; readonly path: string }
  | { readonly kind: 'drop-entries'; readonly checkpointId: CheckpointId }
  | { readonly kind: 'drop-manifest'; readonly manifestId: number }
  | { readonly kind: 'sweep-objects' }
  | { readonly kind: 'remove-views' }
  | { readonly kind: 'finish-removal'; readonly checkpointId: CheckpointId }
  | { readonly kind: 'drop-failed-ingest'; readonly checkpointId: CheckpointId }
  | { readonly kind: 'remove-orphan-sidecar'; readonly path: string }
  | { readonly kind: 'write-sidecar'; readonly checkpointId: CheckpointId }

/** What recovery reads to find out. */
export type RecoverySource = Pick<IngestContext, 'database' | 'layout' | 'threads'>

/** Finds what is to be done; changes nothing. Yields steps as it reads, so memory is bounded. */
export async function* planRecovery(context: RecoverySource): AsyncGenerator<RecoveryStep> {
  const { database, layout, threads } = context

  for await (const name of names(threads, layout.staging)) {
    const known = isUuid(name) && database.ingests.find(name as CheckpointId) !== undefined
    // A worker's output that was handed over belongs to its job, which decides about it.
    if (known) yield* planIngest(context, name as CheckpointId)
    else if (!name.startsWith(OUTPUT_PREFIX))
      yield { kind: 'remove-staging', path: join(layout.staging, name) }
  }
  for (const ingest of database.ingests.list())
    if (database.checkpoints.find(ingest.checkpoint_id)?.status === 'failed')
      yield { kind: 'drop-failed-ingest', checkpointId: ingest.checkpoint_id }
  for (const checkpointId of database.entries.listLeftover())
    yield { kind: 'drop-entries', checkpointId }

  for await (const domain of names(threads, layout.objects)) {
    for await (const name of names(threads, join(layout.objects, domain))) {
      const key = parseObjectFileName(name)
      const row =
        key && database.objects.find({ ...key, domain, executable: key.executable ? 1 : 0 })
      if (row === undefined)
        yield { kind: 'remove-orphan-object', path: join(layout.objects, domain, name) }
    }
  }
  for await (const domain of names(threads, layout.manifests)) {
    for await (const name of names(threads, join(layout.manifests, domain)))
      if (database.manifests.find(domain, name) === undefined)
        yield { kind: 'remove-orphan-manifest', path: join(layout.manifests, domain, name) }
  }
  yield* planViews(context)
  for (const manifest of database.manifests.list()) {
    const used = database.checkpoints.listByManifest(manifest.id).length > 0
    if (manifest.state === 'deleting' || !used)
      yield { kind: 'drop-manifest', manifestId: manifest.id }
  }
  for (const checkpoint of database.checkpoints.listStatus('removing'))
    yield { kind: 'finish-removal', checkpointId: checkpoint.id }
  for await (const name of names(threads, layout.sidecars)) {
    const id = name.replace(/\.json$/, '')
    if (!isUuid(id) || database.checkpoints.find(id) === undefined)
      yield { kind: 'remove-orphan-sidecar', path: join(layout.sidecars, name) }
  }
  for (const { id } of database.checkpoints.listStatus('ready'))
    if (!(await threads.use((remote) => remote.fileExists(layout.sidecar(id)))))
      yield { kind: 'write-sidecar', checkpointId: id }
  if (database.objects.listInState('deleting').length > 0) yield { kind: 'sweep-objects' }
  if (database.views.listDisposable().length > 0) yield { kind: 'remove-views' }
}

/** Files of an ingest that goes on: those of which nothing is recorded are fetched anew. */
async function* planIngest(
  context: RecoverySource,
  id: CheckpointId,
): AsyncGenerator<RecoveryStep> {
  const { database, layout, threads } = context
  const recorded = new Set(database.ingests.listPartials(id).map(({ staging_name: name }) => name))
  for await (const name of names(threads, layout.ingest(id)))
    if (!recorded.has(name)) yield { kind: 'remove-staging', path: join(layout.ingest(id), name) }
}

async function* planViews(context: RecoverySource): AsyncGenerator<RecoveryStep> {
  const { database, layout, threads } = context
  const present = new Set<string>()
  for await (const domain of names(threads, layout.views)) {
    for await (const name of names(threads, join(layout.views, domain))) {
      const [digest = '', generation = ''] = name.split('.')
      const row = database.views.find(domain, digest, Number(generation))
      if (row === undefined || viewName(row.digest, row.generation) !== name)
        yield { kind: 'remove-orphan-view', path: join(layout.views, domain, name) }
      else present.add(`${domain}/${name}`)
    }
  }
  for (const manifest of database.manifests.list())
    for (const view of database.views.listOfManifest(manifest.id)) {
      const name = viewName(view.digest, view.generation)
      if (!present.has(`${view.domain}/${name}`))
        yield { kind: 'rebuild-view-later', viewId: view.id, path: layout.view(view.domain, name) }
    }
}

/** Performs one step; repeating it is harmless. */
export async function applyRecoveryStep(
  { database, layout, threads }: RecoverySource,
  parts: { removal: Removal; views: Views },
  step: RecoveryStep,
): Promise<void> {
  switch (step.kind) {
    case 'remove-staging':
    case 'remove-orphan-view':
      return threads.use((remote) => remote.removeTree(step.path))
    case 'remove-orphan-object':
    case 'remove-orphan-manifest':
    case 'remove-orphan-sidecar':
      return threads.use((remote) => remote.unlinkFiles([step.path]))
    case 'rebuild-view-later':
      // Retired, not marked for deletion: a job may hold a lease on it.
      return database.views.setState(step.viewId, 'retired')
    case 'write-sidecar': {
      const checkpoint = database.checkpoints.find(step.checkpointId)
      const manifest = database.manifests.get(checkpoint?.manifest_id ?? 0)
      if (checkpoint === undefined || manifest === undefined) return
      const text = encodeSidecar(checkpoint, manifest.digest)
      return threads.use((remote) => remote.writeFileDurably(layout.sidecar(checkpoint.id), text))
    }
    case 'drop-entries':
      return parts.removal.dropEntries(step.checkpointId)
    case 'drop-manifest':
      return parts.removal.dropManifest(step.manifestId)
    case 'sweep-objects':
      return parts.removal.sweep()
    case 'remove-views':
      return parts.views.removeDisposable()
    case 'finish-removal':
      return parts.removal.finish(step.checkpointId)
    case 'drop-failed-ingest':
      return parts.removal.dropIngest(step.checkpointId)
  }
}

async function* names(threads: StoreThreads, directory: string): AsyncGenerator<string> {
  const { remote, release } = threads.acquire()
  try {
    const scan = await remote.scanOpen(directory)
    try {
      for (;;) {
        const page = await remote.scanNext(scan)
        if (page.length === 0) return
        yield* page
      }
    } finally {
      await remote.scanClose(scan)
    }
  } finally {
    release()
  }
}
