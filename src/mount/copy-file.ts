import { fstatSync, ftruncateSync, read, write } from 'node:fs'
import { promisify } from 'node:util'
import { findData } from '../os/linux.ts'
import type { TimeSlice } from './time-slice.ts'

const readAt = promisify(read)
const writeAt = promisify(write)
const CHUNK_BYTES = 1024 * 1024

/** Copies a file's bytes off the main thread; holes stay holes, or a sparse file would fill the disk. */
export async function copyFileContent(
  sourceFd: number,
  targetFd: number,
  slice: TimeSlice,
): Promise<void> {
  const sizeBytes = fstatSync(sourceFd).size
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let data = findData(sourceFd, 0)
  while (data !== undefined && data.start < sizeBytes) {
    for (let at = data.start; at < data.end; ) {
      await slice()
      const length = Math.min(chunk.length, data.end - at)
      const { bytesRead } = await readAt(sourceFd, chunk, 0, length, at)
      if (bytesRead === 0) break
      for (let from = 0; from < bytesRead; ) {
        const { bytesWritten } = await writeAt(targetFd, chunk, from, bytesRead - from, at + from)
        from += bytesWritten
      }
      at += bytesRead
    }
    data = findData(sourceFd, data.end)
  }
  ftruncateSync(targetFd, sizeBytes)
}
