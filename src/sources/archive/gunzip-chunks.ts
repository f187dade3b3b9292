import { createGunzip } from 'node:zlib'
import { CkptdError } from '../../model/errors.ts'
import { archiveError } from './archive-error.ts'
import type { ArchiveFile } from './archive-file.ts'
import type { ChunkSource } from './byte-stream.ts'
import { CHUNK_BYTES } from './file-chunks.ts'
import { inflateRange } from './inflate-range.ts'
import type { ArchiveInput } from './member.ts'

export interface GunzipChunks extends ChunkSource, AsyncDisposable {
  next(): Promise<Buffer | undefined>
}

/**
 * What a gzip file of one or more members holds. Each member's checksum and length are
 * verified; behind the last one only zeros may follow (padding of tapes and blocks). Anything
 * else there may be a member whose beginning is damaged, so it is refused and never dropped.
 */
export function gunzipChunks({ name, file }: ArchiveInput): GunzipChunks {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  const chunks = inflateRange(gunzip, file, 0, file.sizeBytes)
  return {
    next: async () => {
      try {
        const next = await chunks.next()
        if (next.done !== true) return next.value
      } catch (error) {
        throw gzipError(name, error)
      }
      assertZeros(name, file, gunzip.bytesWritten)
      return undefined
    },
    [Symbol.asyncDispose]: async () => {
      gunzip.destroy()
      // Ends once the decompressor's own thread has let go of its buffers.
      await chunks.return?.()
    },
  }
}

function gzipError(name: string, error: unknown): CkptdError {
  if (error instanceof CkptdError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'Z_BUF_ERROR')
    return archiveError(name, 'is truncated: its compressed data ends too early', error)
  return archiveError(name, `is damaged: its compressed data cannot be read (${message})`, error)
}

function assertZeros(name: string, file: ArchiveFile, from: number): void {
  const buffer = Buffer.allocUnsafe(64 * 1024)
  for (let at = from; at < file.sizeBytes; ) {
    const read = file.read(buffer, at, buffer.length)
    if (read === 0) return
    const index = buffer.subarray(0, read).findIndex((byte) => byte !== 0)
    if (index !== -1)
      throw archiveError(
        name,
        `is damaged: at byte ${at + index}, behind its compressed data, stands something that is no gzip`,
      )
    at += read
  }
}
