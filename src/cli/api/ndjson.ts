import { StringDecoder } from 'node:string_decoder'

/** No line of the API comes near; a longer one means that the other side is no daemon of ours. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024

/**
 * The values of a stream of newline-delimited JSON, wherever its chunks are cut. Empty lines
 * are skipped; a last line without a newline counts. Throws SyntaxError on a line that is no JSON.
 */
export async function* parseNdjson(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<unknown, void, undefined> {
  const decoder = new StringDecoder('utf8')
  let pending: string[] = []
  let pendingCharacters = 0
  for await (const chunk of chunks) {
    const lines = decoder.write(Buffer.from(chunk)).split('\n')
    const unfinished = lines.pop() ?? ''
    for (const line of lines) {
      yield* parseLine([...pending, line].join(''))
      pending = []
      pendingCharacters = 0
    }
    pending.push(unfinished)
    pendingCharacters += unfinished.length
    if (pendingCharacters > MAX_LINE_CHARACTERS)
      throw new SyntaxError(`a line is longer than ${MAX_LINE_CHARACTERS} characters`)
  }
  yield* parseLine(pending.join('') + decoder.end())
}

function* parseLine(line: string): Generator<unknown, void, undefined> {
  if (line.trim() !== '') yield JSON.parse(line) as unknown
}
