import { open, rm } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import type { ArchiveSource } from '../../../src/sources/archive/archive-source.ts'
import type { Arrival } from '../../../src/sources/archive/arrival.ts'
import { FIRST_MEMBER } from '../../../src/sources/archive/member.ts'

/**
 * An archive on disk that arrives a piece at a time, only where its reader wants it and never
 * further ahead than the next piece: what a reader takes for granted is missing there.
 */
export function trickledArchive(path: string, sizeBytes: number): ArchiveSource {
  return {
    sizeBytes,
    version: 'trickled',
    arrives: true,
    stored: () => undefined,
    open: async () => {
      const from = await open(path, 'r')
      const holding = `${path}.arriving`
      const to = await open(holding, 'w+')
      await rm(holding)
      let arrival: Arrival | undefined
      const { promise: failed, reject } = Promise.withResolvers<never>()
      failed.catch(() => undefined)
      let turns: Promise<void> = Promise.resolve()
      const isWanted = (one: Arrival): boolean => one === arrival
      const follow = async (
        before: Promise<void>,
        own: Arrival,
        start: number,
        end: number,
      ): Promise<void> => {
        await before
        const piece = Buffer.alloc(1 + (start % 3000) + 64 * 1024)
        for (let at = start; at < end && isWanted(own); ) {
          const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, end - at), at)
          if (bytesRead === 0) throw new Error('the archive has become shorter')
          await to.write(piece, 0, bytesRead, at)
          at += bytesRead
          own.reach(at)
          while (isWanted(own) && own.positionBytes < at - piece.length) await turn()
        }
      }
      return {
        path: `/proc/self/fd/${to.fd}`,
        from: FIRST_MEMBER,
        arriving: {
          failed,
          want: (start, end, next) => {
            arrival = next
            turns = follow(turns, next, start, end).catch(reject)
          },
          stop: () => {
            arrival?.stop()
            arrival = undefined
          },
        },
        [Symbol.asyncDispose]: async () => {
          await turns
          await from.close()
          await to.close()
        },
      }
    },
  }
}
