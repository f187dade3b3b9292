import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ingest } from '../../src/cache/ingest.ts'
import { openStore, type Store } from '../../src/cache/store.ts'
import type { IngestRow } from '../../src/database/ingests.ts'
import { parseCheckpointName } from '../../src/model/checkpoint-name.ts'
import { type CheckpointId, parseCheckpointId, parseProject } from '../../src/model/ids.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'

/** A store that was recovered and has the domain `host`, as the daemon would open it. */
export async function openTestStore(
  directory: string,
  options: { minFreeBytes?: number } = { minFreeBytes: 0 },
): Promise<Store> {
  const store = openStore(directory, options)
  await store.recover(() => undefined)
  store.ensureDomain('host')
  return store
}

/** A checkpoint in status `downloading` with an open ingest. */
export function beginIngest(
  store: Store,
  options: { name?: string; project?: string; domain?: string; kind?: IngestRow['kind'] } = {},
): { id: CheckpointId; ingest: Ingest } {
  const id = parseCheckpointId(randomUUID())
  const domain = options.domain ?? 'host'
  store.ensureDomain(domain)
  store.database.checkpoints.insert({
    id,
    project: parseProject(options.project ?? 'default'),
    name: parseCheckpointName(options.name ?? 'test'),
    domain,
    source_type: 'web',
    source_uri: 'http://test.invalid/',
    source_options: '{}',
    sealed_source: null,
    created_at_ms: Date.now(),
  })
  store.database.checkpoints.setStatus(id, 'downloading')
  store.database.ingests.insert(id, options.kind ?? 'transfer', {})
  return { id, ingest: store.openIngest(id, domain) }
}

/** What a tree holds: a string is a file's bytes; `null` a directory; `{ link }` a symlink. */
export type TreeSpec = Readonly<
  Record<string, string | Buffer | null | { link: string } | { executable: string | Buffer }>
>

/** Puts a tree into an ingest, every file at once. */
export async function storeTree(ingest: Ingest, tree: TreeSpec): Promise<void> {
  const stored: Promise<unknown>[] = []
  for (const [name, what] of Object.entries(tree)) {
    const path = parseRelativePath(name)
    if (what === null) ingest.addDirectory(path)
    else if (typeof what === 'object' && 'link' in what) ingest.addSymlink(path, what.link)
    else {
      const executable = typeof what === 'object' && 'executable' in what
      const bytes = Buffer.from(executable ? (what.executable as Buffer) : (what as Buffer))
      const file = join(ingest.directory, ingest.newStagingName())
      writeFileSync(file, bytes)
      ingest.planFiles([{ path, sizeBytes: bytes.length, plan: null }])
      stored.push(ingest.storeFile({ path, file, executable, sizeBytes: bytes.length }))
    }
  }
  await Promise.all(stored)
}

/** A ready checkpoint with this tree. */
export async function publishTree(
  store: Store,
  tree: TreeSpec,
  options: Parameters<typeof beginIngest>[1] = {},
): Promise<CheckpointId> {
  const { id, ingest } = beginIngest(store, options)
  await storeTree(ingest, tree)
  await store.publisher.publish(id, Date.now())
  await store.removal.dropIngest(id)
  return id
}
