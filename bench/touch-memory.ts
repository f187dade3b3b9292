import { open, rm, statfs } from 'node:fs/promises'
import { freemem } from 'node:os'

const MEMORY_FILESYSTEM = '/dev/shm'
const PIECE = Buffer.alloc(16 * 1024 * 1024, 1)

/**
 * Uses so many bytes of memory and frees them at once. A virtual machine may give freed memory
 * back to its host, and the first touch of a page then costs far more than its use (2.5 ms/MiB
 * were seen). Without this, whoever runs after a pause pays for that, and the next one does not.
 */
export async function touchMemory(bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(MEMORY_FILESYSTEM)
  const path = `${MEMORY_FILESYSTEM}/ckptd-bench-${process.pid}`
  try {
    await using file = await open(path, 'w')
    // Never so much that the rest of the machine would have to make room.
    for (let left = Math.min(bytes, freemem() / 2, (bavail * bsize) / 2); left > 0; )
      left -= (await file.write(PIECE)).bytesWritten
  } finally {
    await rm(path)
  }
}
