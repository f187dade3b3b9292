import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { objectFileName } from '../../src/cache/layout.ts'
import { readManifest } from '../../src/cache/read-manifest.ts'
import type { Store } from '../../src/cache/store.ts'

/**
 * What must hold of every store that was recovered, whatever happened to it before: each
 * sentence is one of docs/invariants.md that can be read off the disk.
 */
export async function assertStoreInvariants(store: Store): Promise<void> {
  const { database, layout } = store
  const objectFiles = new Map<string, string>()
  for (const domain of readdirSync(layout.objects))
    for (const name of readdirSync(join(layout.objects, domain)))
      objectFiles.set(`${domain}/${name}`, join(layout.objects, domain, name))

  // An object's name is its bytes' SHA-256, its mode is final, and it has a row.
  for (
    let after = 0, page = database.objects.listAfter(0);
    page.length > 0;
    page = database.objects.listAfter(after)
  )
    for (const row of page) {
      after = row.id
      const name = `${row.domain}/${objectFileName({ ...row, executable: row.executable === 1 })}`
      const path = objectFiles.get(name)
      expect(path, `object ${name} has a row and no file`).toBeDefined()
      objectFiles.delete(name)
      const bytes = readFileSync(path ?? '')
      expect(createHash('sha256').update(bytes).digest('hex'), `bytes of ${name}`).toBe(row.sha256)
      expect(row.state, `state of ${name}`).toBe('live')
      expect(lstatSync(path ?? '').mode & 0o7777, `mode of ${name}`).toBe(
        row.executable ? 0o555 : 0o444,
      )
    }
  expect([...objectFiles.keys()], 'objects without a row').toEqual([])

  // Ready means whole: the manifest is there, is what its name says, and every entry of it is in
  // the view with its bytes, linked to its object.
  for (const manifest of database.manifests.list()) {
    const path = layout.manifest(manifest.domain, manifest.digest)
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
    expect(digest, 'the manifest’s digest').toBe(manifest.digest)
    const view = database.views.findLive(manifest.id)
    if (view === undefined) continue
    const root = layout.view(view.domain, `${view.digest}.${view.generation}`)
    let entries = 0
    for await (const entry of readManifest(path)) {
      entries += 1
      const stat = lstatSync(join(root, entry.path))
      if (entry.kind === 'directory') expect(stat.isDirectory()).toBe(true)
      else if (entry.kind === 'symlink')
        expect(readlinkSync(join(root, entry.path))).toBe(entry.target)
      else {
        expect(stat.size, entry.path).toBe(entry.sizeBytes)
        const bytes = readFileSync(join(root, entry.path))
        expect(createHash('sha256').update(bytes).digest('hex'), entry.path).toBe(entry.sha256)
      }
    }
    expect(entries).toBe(manifest.entry_count)
  }
  for (const row of database.checkpoints.listStatus('ready')) {
    expect(row.manifest_id, `${row.id} is ready and has a manifest`).not.toBeNull()
    expect(existsSync(layout.sidecar(row.id)), `${row.id} is ready and has a sidecar`).toBe(true)
  }

  // Nothing is left over: no staging without an ingest, no view or manifest without a row.
  for (const name of readdirSync(layout.staging))
    expect(
      name.startsWith('output.') ||
        database.ingests.list().some((ingest) => ingest.checkpoint_id === name),
      `staging/${name} belongs to an ingest`,
    ).toBe(true)
  for (const domain of readdirSync(layout.views))
    for (const name of readdirSync(join(layout.views, domain))) {
      const [digest = '', generation = ''] = name.split('.')
      expect(database.views.find(domain, digest, Number(generation)), `view ${name}`).toBeDefined()
    }
  for (const domain of readdirSync(layout.manifests))
    for (const name of readdirSync(join(layout.manifests, domain)))
      expect(database.manifests.find(domain, name), `manifest ${name}`).toBeDefined()
  expect(database.checkpoints.listStatus('removing'), 'removals are finished').toEqual([])
  expect(database.objects.listInState('deleting'), 'marked objects are gone').toEqual([])
}
