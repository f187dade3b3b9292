import { CkptdError } from '../../model/errors.ts'
import { MAX_TREE_ENTRIES } from '../../model/limits.ts'
import { quoteName } from '../../model/relative-path.ts'
import { archiveError, memberError } from './archive-error.ts'
import type { ByteStream } from './byte-stream.ts'
import { CHUNK_BYTES } from './file-chunks.ts'
import type { Member, MemberPlace } from './member.ts'
import { tarBody } from './tar-body.ts'
import { MAX_EXTENSION_BYTES, tarExtensions } from './tar-extensions.ts'
import { decodeTarHeader, isZeroBlock, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.ts'
import { tarMember } from './tar-member.ts'

export interface TarInput {
  /** The archive's own name, for messages. */
  readonly name: string
  readonly stream: ByteStream
  /** Where the stream begins: before a member's headers. */
  readonly from: MemberPlace
  /** Whether a reader may begin at a later member, too. */
  readonly seekable: boolean
  /** Throws where the archive, expanded, may not reach so far; called before it does. */
  readonly assertMayReach: (expandedBytes: number) => void
  readonly log: (line: string) => void
}

/**
 * The members of a tar archive in any of its formats (v7, ustar, GNU, pax, star), read strictly
 * forward with one header in memory (docs/decisions/0007-tar-reader.md).
 */
export async function* readTar(input: TarInput): AsyncGenerator<Member> {
  const { name, stream, from, assertMayReach } = input
  const refuse = (why: string): CkptdError =>
    archiveError(name, `${why} (at byte ${headerAt} of the tar)`)
  const extensions = tarExtensions((why) => refuse(why))
  /** In the tar itself, not in the stream. */
  const position = (): number => from.offset + stream.position
  let headerAt = from.offset
  let memberAt = from.offset
  let { index } = from
  for (;;) {
    headerAt = position()
    if (!extensions.pending) memberAt = headerAt
    const block = await stream.take(TAR_BLOCK_BYTES)
    if (block.length < TAR_BLOCK_BYTES)
      throw archiveError(name, 'is truncated: it ends without a tar archive’s end mark')
    if (isZeroBlock(block)) {
      if (extensions.pending) throw refuse('ends where a member should follow its header')
      return finish(input, refuse)
    }
    const header = decodeTarHeader(block)
    if (header === undefined)
      throw headerAt === 0
        ? archiveError(name, 'holds no tar archive')
        : refuse('is damaged: a header’s checksum is wrong')
    if (extensions.accepts(header.type)) {
      extensions.add(header.type, await readExtension(stream, header, refuse))
      continue
    }
    const applied = extensions.apply(header)
    const shown = applied.name.toString('utf8')
    const { sizeBytes } = applied
    if (sizeBytes === undefined) throw memberError(name, shown, 'has a size that is no number')
    assertMayReach(position() + sizeBytes)
    const body = tarBody(stream, sizeBytes, () =>
      memberError(name, shown, 'is truncated: the archive ends within it'),
    )
    const place = { index, offset: input.seekable ? memberAt : undefined }
    const member = tarMember(name, place, { ...applied, sizeBytes }, body.read)
    index += 1
    // Counted here, since "./" again and again is no entry of the tree.
    if (index > MAX_TREE_ENTRIES)
      throw new CkptdError(
        'limit_exceeded',
        `the archive ${quoteName(name)} has more than ${MAX_TREE_ENTRIES} members`,
      )
    if (member !== undefined) yield member
    await body.end()
  }
}

async function readExtension(
  stream: ByteStream,
  header: TarHeader,
  refuse: (why: string) => CkptdError,
): Promise<Buffer> {
  const { sizeBytes } = header
  if (sizeBytes === undefined) throw refuse('is damaged: a header’s size is no number')
  if (sizeBytes > MAX_EXTENSION_BYTES)
    throw refuse(
      `has an extension header of ${sizeBytes} bytes; ${MAX_EXTENSION_BYTES} are allowed`,
    )
  const padded = Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
  const body = await stream.take(padded)
  if (body.length < padded) throw refuse('is truncated: it ends within a header')
  return body.subarray(0, sizeBytes)
}

/**
 * Behind the end mark, two zero blocks, comes padding. It is read to the end, so that a
 * compressed archive's own checksum is verified. Other bytes there are ignored as by every tar:
 * old archivers left whatever their buffer held.
 */
async function finish(input: TarInput, refuse: (why: string) => CkptdError): Promise<void> {
  const { stream } = input
  const second = await stream.take(TAR_BLOCK_BYTES)
  if (second.length === TAR_BLOCK_BYTES && !isZeroBlock(second))
    throw refuse('is damaged: half of its end mark stands where its members go on')
  let ignored = false
  for (;;) {
    const piece = await stream.some(CHUNK_BYTES)
    if (piece.length === 0) break
    input.assertMayReach(input.from.offset + stream.position)
    ignored ||= piece.some((byte) => byte !== 0)
  }
  if (ignored) input.log('What follows the end mark of the tar archive is ignored')
}
