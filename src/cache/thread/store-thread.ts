import { existsSync, renameSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { workerData } from 'node:worker_threads'
import { flushDirectorySync, unlinkIfPresentSync, writeFileDurablySync } from '../../os/durable.ts'
import { fileError, isErrno } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { type Handlers, serveThread } from '../../os/thread.ts'
import { buildView, type CopyKeeper, type ViewRequest } from './build-view.ts'
import { flushForeignWritesSync, watchFilesystem } from './flush-files.ts'
import { followHandlers } from './follow.ts'
import { placeFiles, unplaceFiles } from './place-files.ts'
import { removeTree } from './remove-tree.ts'
import { scanHandlers } from './scan.ts'
import { type SealRequest, type SealResult, sealFiles } from './seal-files.ts'
import { verifyObject } from './verify-objects.ts'
import { verifyView } from './verify-view.ts'
import { walkHandlers } from './walk.ts'

/** Everything that touches many bytes or many names, or waits for the disk. */
export const storeHandlers = {
  ...followHandlers,
  ...scanHandlers,
  ...walkHandlers,
  placeFiles,
  unplaceFiles,
  verifyObject,
  removeTree,

  sealFiles: (requests: readonly SealRequest[], ownDirtyBytes: number): Promise<SealResult[]> =>
    sealFiles(requests, ownDirtyBytes, (watch, bytes) => void parent.hashed(watch, bytes)),

  buildView: (request: ViewRequest): Promise<void> => buildView(request, parent),
  verifyView: (request: ViewRequest): Promise<string | undefined> => verifyView(request, parent),

  flushForeignWrites: (): void => flushForeignWritesSync(dataDirectory),

  /** Removes names; missing ones are fine. Durable only after a later flush of the directory. */
  unlinkFiles: (paths: readonly string[]): void => {
    for (const path of paths) unlinkIfPresentSync(path)
  },

  fileExists: (path: string): boolean => existsSync(path),

  writeFileDurably: (path: string, text: string): void => writeFileDurablySync(path, text),

  /** Moves a whole file to its final name: flush → rename → flush the directory. */
  publishFile: async (from: string, to: string): Promise<void> => {
    {
      await using file = await open(from, 'r')
      await file.chmod(0o444)
      await file.datasync()
    }
    failpoint('manifest.written')
    await rename(from, to)
    flushDirectorySync(dirname(to))
    failpoint('manifest.renamed')
  },

  /** Moves a name aside and flushes both directories; a missing source is fine. */
  moveAside: (from: string, to: string): void => {
    try {
      renameSync(from, to)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return
      throw error
    }
    flushDirectorySync(dirname(from))
    flushDirectorySync(dirname(to))
  },
}

export type StoreHandlers = typeof storeHandlers

/** What the threads of the store call. */
export type StoreParent = CopyKeeper & {
  /** How far a watched file is hashed, in bytes. */
  hashed: (watch: number, bytes: number) => void
}

/** What was being done, for the message of a failure that a handler has no better words for. */
const DOING: { readonly [K in keyof StoreHandlers]: string } = {
  followOpen: 'opening a staging file',
  followAdvance: 'reading a staging file',
  followFlush: 'flushing a staging file',
  followFinish: 'reading a staging file',
  followClose: 'closing a staging file',
  scanOpen: 'listing a directory of the store',
  scanNext: 'listing a directory of the store',
  scanClose: 'listing a directory of the store',
  fileExists: 'looking for a file of the store',
  walkOpen: 'listing an output',
  walkNext: 'listing an output',
  sealFiles: 'sealing files',
  placeFiles: 'adding objects to the store',
  unplaceFiles: 'taking objects back',
  verifyObject: 'reading an object',
  removeTree: 'removing a directory',
  buildView: 'building a view',
  verifyView: 'comparing a view with its manifest',
  flushForeignWrites: 'flushing what a job wrote',
  unlinkFiles: 'removing files',
  writeFileDurably: 'writing a checkpoint’s record',
  publishFile: 'publishing a manifest',
  moveAside: 'moving a damaged object aside',
}

/** Errors cross threads as a code and a sentence; only here their errno can still be read. */
function withFileErrors(handlers: Handlers): Handlers {
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        try {
          return await handler(...args)
        } catch (error) {
          throw fileError(error, DOING[name as keyof StoreHandlers])
        }
      },
    ]),
  )
}

const { directory: dataDirectory } = workerData as { directory: string }
watchFilesystem(dataDirectory)
const parent = serveThread<StoreParent>(withFileErrors(storeHandlers))
