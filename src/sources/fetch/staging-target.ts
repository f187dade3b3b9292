import { closeSync, openSync, writeSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'

/** An open staging file. Writing returns when the page cache has the bytes: nothing piles up. */
export interface StagingTarget extends Disposable {
  write(chunk: Buffer, offset: number): void
}

export function openStagingTarget(path: string, options: { create: boolean }): StagingTarget {
  const fd = opening(() => openSync(path, options.create ? 'w' : 'r+', 0o600))
  return {
    write: (chunk, offset) => {
      try {
        for (let at = 0; at < chunk.length; )
          at += writeSync(fd, chunk, at, chunk.length - at, offset + at)
      } catch (error) {
        throw fileError(error, 'writing a staging file')
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}

function opening(open: () => number): number {
  try {
    return open()
  } catch (error) {
    throw fileError(error, 'opening a staging file')
  }
}
