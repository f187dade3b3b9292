import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'

/** Writes a file until the disk has not a single block left. */
export function fillFile(path: string): void {
  const fd = openSync(path, 'a')
  try {
    // What is only promised to be written may turn out to need less: again, until nothing fits.
    for (let before = -1, size = 0; size > before; ) {
      before = size
      for (const piece of [Buffer.alloc(1 << 20), Buffer.alloc(4096), Buffer.alloc(1)])
        size += writeUntilFull(fd, piece)
      fsyncSync(fd)
    }
  } finally {
    closeSync(fd)
  }
}

function writeUntilFull(fd: number, piece: Buffer): number {
  let written = 0
  try {
    for (;;) written += writeSync(fd, piece)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    return written
  }
}
