import type { CkptdError } from '../../model/errors.ts'
import type { ByteStream } from './byte-stream.ts'
import { CHUNK_BYTES } from './file-chunks.ts'
import { TAR_BLOCK_BYTES } from './tar-header.ts'

export interface TarBody {
  /** The member's bytes from an offset on; once, and only forward. */
  readonly read: (fromBytes: number) => AsyncIterable<Buffer> | Iterable<Buffer>
  /** Passes over what was not read, and over the padding. */
  end(): Promise<void>
}

export function tarBody(
  stream: ByteStream,
  sizeBytes: number,
  truncated: () => CkptdError,
): TarBody {
  let done = 0
  const skipTo = async (target: number): Promise<void> => {
    const count = target - done
    if (count > 0 && (await stream.skip(count)) < count) throw truncated()
    done = Math.max(done, target)
  }
  async function* pieces(fromBytes: number): AsyncGenerator<Buffer> {
    await skipTo(fromBytes)
    while (done < sizeBytes) {
      const piece = await stream.some(Math.min(CHUNK_BYTES, sizeBytes - done))
      if (piece.length === 0) throw truncated()
      done += piece.length
      yield piece
    }
  }
  return {
    read: (fromBytes) => {
      const whole = fromBytes === 0 ? stream.takeNow(sizeBytes) : undefined
      if (whole === undefined) return pieces(fromBytes)
      done = sizeBytes
      return [whole]
    },
    end: () => skipTo(Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES),
  }
}
