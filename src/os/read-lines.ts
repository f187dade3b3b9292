import { createReadStream } from 'node:fs'
import { CkptdError } from '../model/errors.ts'

const LINE_FEED = 0x0a

/**
 * The lines of a UTF-8 file, split at line feeds only (readline would also split at U+2028,
 * which JSON leaves as it is). A line of more than `maxBytes` bytes throws `corrupt`.
 */
export async function* readLines(path: string, maxBytes: number): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer])
    let from = 0
    for (
      let end = bytes.indexOf(LINE_FEED, from);
      end !== -1;
      end = bytes.indexOf(LINE_FEED, from)
    ) {
      yield bytes.toString('utf8', from, end)
      from = end + 1
    }
    rest = bytes.subarray(from)
    if (rest.length > maxBytes) throw new CkptdError('corrupt', `${path} has an endless line`)
  }
  if (rest.length > 0) throw new CkptdError('corrupt', `${path} ends in the middle of a line`)
}
