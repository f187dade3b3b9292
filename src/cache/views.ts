import { dirname } from 'node:path'
import type { Database } from '../database/database.ts'
import type { ViewRow } from '../database/views.ts'
import { CkptdError } from '../model/errors.ts'
import { failpoint } from '../os/failpoint.ts'
import { type Layout, viewName } from './layout.ts'
import type { StoreThreads } from './store-threads.ts'
import type { CopyKeeper } from './thread/build-view.ts'

export interface Views {
  /**
   * The live view of a manifest, built where there is none. Single flight. Throws `corrupt`
   * where an object of it is quarantined.
   */
  ensure(manifestId: number): Promise<ViewRow>
  /** Removes the views that are retired or marked and leased by nobody. */
  removeDisposable(): Promise<void>
}

export function openViews(database: Database, layout: Layout, threads: StoreThreads): Views {
  const building = new Map<number, Promise<ViewRow>>()

  /** Asked before a view is built, and again when it is recorded: much may happen in between. */
  const assertWhole = (manifestId: number): void => {
    if (database.manifests.get(manifestId)?.state !== 'live')
      throw new CkptdError('unavailable', 'this checkpoint is being removed')
    const damaged = findQuarantined(database, manifestId)
    if (damaged !== undefined)
      throw new CkptdError('corrupt', `object ${damaged} of this checkpoint is damaged`)
  }

  const build = async (manifestId: number): Promise<ViewRow> => {
    const manifest = database.manifests.get(manifestId)
    if (manifest === undefined) throw new CkptdError('internal', `no manifest ${manifestId}`)
    assertWhole(manifestId)
    const retirements = database.views.countRetirements(manifestId)
    const generation = database.views.nextGeneration(manifestId)
    const path = layout.view(manifest.domain, viewName(manifest.digest, generation))
    // A directory of this name without a row was renamed and then not recorded: a crash.
    await threads.use((remote) => remote.removeTree(path))
    await threads.use((remote) =>
      remote.buildView({
        manifest: layout.manifest(manifest.domain, manifest.digest),
        objects: dirname(
          layout.object({ ...manifest, sha256: manifest.digest, executable: false, copy: 0 }),
        ),
        path,
        domain: manifest.domain,
        manifestId,
      }),
    )
    try {
      const id = database.transaction(() => {
        assertWhole(manifestId)
        // It may hold the damaged inode, also where that was replaced since.
        if (database.views.countRetirements(manifestId) !== retirements)
          throw new CkptdError('unavailable', 'an object was found damaged meanwhile; ask again')
        return database.views.insert(manifestId, generation)
      })
      failpoint('view.recorded')
      const row = database.views.get(id)
      if (row === undefined) throw new CkptdError('internal', 'a view vanished')
      return row
    } catch (error) {
      await threads.use((remote) => remote.removeTree(path))
      throw error
    }
  }

  const removeDisposable = async (): Promise<void> => {
    for (const view of database.views.listDisposable()) {
      database.views.setState(view.id, 'deleting')
      await database.flush()
      await threads.use((remote) =>
        remote.removeTree(layout.view(view.domain, viewName(view.digest, view.generation))),
      )
      failpoint('removal.view-removed')
      database.views.remove(view.id)
    }
  }
  /** One at a time: the slower of two could meet the next view, which may have the same name. */
  let removing: Promise<void> = Promise.resolve()

  return {
    ensure: (manifestId) => {
      const live = database.views.findLive(manifestId)
      if (live !== undefined) return Promise.resolve(live)
      const existing = building.get(manifestId)
      if (existing !== undefined) return existing
      const started = build(manifestId).finally(() => building.delete(manifestId))
      building.set(manifestId, started)
      return started
    },
    removeDisposable: () => {
      const mine = removing.then(removeDisposable)
      removing = mine.catch(() => undefined)
      return mine
    },
  }
}

function findQuarantined(database: Database, manifestId: number): string | undefined {
  for (let after = 0; ; ) {
    const page = database.objects.listOfManifestAfter(manifestId, after)
    const bad = page.find(({ state }) => state === 'quarantined')
    if (bad !== undefined) return bad.sha256
    const last = page.at(-1)
    if (last === undefined) return undefined
    after = last.id
  }
}

/**
 * Keeps account of the further inodes of a content whose links are used up (ext4 stops at
 * 65,000): each is an object of its own, which the manifest of the view refers to.
 */
export function copyKeeper(database: Database): CopyKeeper {
  /** Contents of which a further inode is being made, by one view at a time. */
  const making = new Map<string, { promise: Promise<void>; resolve: () => void }>()
  const keyOf = (domain: string, sha256: string, executable: boolean): string =>
    `${domain}/${sha256}/${executable}`
  return {
    nextCopy: async (manifestId, domain, sha256, executable, fullCopy) => {
      const key = keyOf(domain, sha256, executable)
      for (let made = making.get(key); made !== undefined; made = making.get(key))
        await made.promise
      const copies = database.objects.listCopies(domain, sha256, executable)
      const next = copies.find(({ copy, state }) => copy > fullCopy && state === 'live')
      if (next !== undefined) {
        database.manifests.addObject(manifestId, next.id)
        return { copy: next.copy, make: false }
      }
      making.set(key, Promise.withResolvers<void>())
      // Beyond those too that are being removed: their names are taken until they are gone.
      return { copy: Math.max(fullCopy, ...copies.map(({ copy }) => copy)) + 1, make: true }
    },
    copiesOf: (domain, sha256, executable) =>
      database.objects.listCopies(domain, sha256, executable).map(({ copy }) => copy),
    copyMade: (manifestId, domain, sha256, executable, copy, made) => {
      const key = keyOf(domain, sha256, executable)
      try {
        if (!made) return
        const [first] = database.objects.listCopies(domain, sha256, executable)
        const id = database.objects.insert(
          { domain, sha256, executable: executable ? 1 : 0, copy },
          first?.size_bytes ?? 0,
        )
        database.manifests.addObject(manifestId, id)
      } finally {
        making.get(key)?.resolve()
        making.delete(key)
      }
    },
  }
}
