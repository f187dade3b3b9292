import { renameSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { flushDirectorySync, unlinkIfPresentSync, writeFileDurablySync } from '../../os/durable.ts'
import { fileError } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { serveThread } from '../../os/thread.ts'
import { buildView, type CopyKeeper, type ViewRequest } from './build-view.ts'
import { followHandlers } from './follow.ts'
import { placeFiles } from './place-files.ts'
import { removeTree } from './remove-tree.ts'
import { scanHandlers } from './scan.ts'
import { sealFiles } from './seal-files.ts'
import { verifyObject } from './verify-objects.ts'
import { walkHandlers } from './walk.ts'

/** Everything that touches many bytes or many names, or waits for the disk. */
export const storeHandlers = {
  ...followHandlers,
  ...scanHandlers,
  ...walkHandlers,
  sealFiles,
  placeFiles,
  verifyObject,
  removeTree,

  buildView: (request: ViewRequest): Promise<void> => buildView(request, parent),

  /** Removes names; missing ones are fine. Durable only after a later flush of the directory. */
  unlinkFiles: (paths: readonly string[]): void => {
    try {
      for (const path of paths) unlinkIfPresentSync(path)
    } catch (error) {
      throw fileError(error, 'removing files')
    }
  },

  writeFileDurably: (path: string, text: string): void => {
    try {
      writeFileDurablySync(path, text)
    } catch (error) {
      throw fileError(error, `writing ${path}`)
    }
  },

  /** Moves a whole file to its final name: flush → rename → flush the directory. */
  publishFile: async (from: string, to: string): Promise<void> => {
    try {
      const file = await open(from, 'r')
      await file.chmod(0o444)
      await file.datasync().finally(() => file.close())
      failpoint('manifest.written')
      await rename(from, to)
      flushDirectorySync(dirname(to))
      failpoint('manifest.renamed')
    } catch (error) {
      throw fileError(error, `publishing ${to}`)
    }
  },

  /** Moves a name aside and flushes both directories; a missing source is fine. */
  moveAside: (from: string, to: string): void => {
    try {
      renameSync(from, to)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw fileError(error, `moving ${from} aside`)
    }
    flushDirectorySync(dirname(from))
    flushDirectorySync(dirname(to))
  },
}

export type StoreHandlers = typeof storeHandlers

const parent = serveThread<CopyKeeper>(storeHandlers)
