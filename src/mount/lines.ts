import type { Socket } from 'node:net'

/**
 * Cuts what arrives on a socket into lines of at most `maxBytes`. A longer one calls
 * `onTooLong` once and nothing after it is read: the caller ends the connection.
 */
export function readLines(
  socket: Socket,
  options: { maxBytes: number; onLine: (line: string) => void; onTooLong: () => void },
): void {
  let pieces: Buffer[] = []
  let pendingBytes = 0
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    let from = 0
    while (!ended) {
      const end = chunk.indexOf(0x0a, from)
      const piece = chunk.subarray(from, end === -1 ? undefined : end)
      pendingBytes += piece.length
      if (pendingBytes > options.maxBytes) {
        ended = true
        options.onTooLong()
        return
      }
      if (piece.length > 0) pieces.push(piece)
      if (end === -1) return
      const line = Buffer.concat(pieces).toString('utf8')
      pieces = []
      pendingBytes = 0
      from = end + 1
      if (!socket.destroyed) options.onLine(line)
    }
  })
}
