/** A range of a file that one connection fetches: `at` moves from its start to `end`. */
export interface Piece {
  at: number
  readonly end: number
}

/** Which ranges of one file, or of a part of it, are yet to fetch. Knows no network and no disk. */
export interface PiecePlan {
  /** The lowest range that nobody fetches and that begins before `limitBytes`. */
  take(limitBytes: number): Piece | undefined
  /** What is left of a piece is for somebody else. */
  giveBack(piece: Piece): void
  finish(piece: Piece): void
  /** All bytes before it have arrived. */
  frontierBytes(): number
  /** What has arrived wherever, with all that lies before the first range. */
  arrivedBytes(): number
  isComplete(): boolean
  /** Whether there is a range that nobody fetches. */
  hasFree(): boolean
}

/**
 * Pieces get smaller towards the end, so that all connections end at about the
 * same time and a slow one holds back little.
 */
export function piecePlan(
  fromBytes: number,
  endBytes: number,
  limits: { connectionsPerFile: number; maxPieceBytes: number; minPieceBytes: number },
  /** Where the first piece ends, if that is given. */
  firstEndBytes?: number,
): PiecePlan {
  const free: Piece[] = []
  const taken = new Set<Piece>()
  let next = fromBytes
  if (firstEndBytes !== undefined) {
    free.push({ at: fromBytes, end: firstEndBytes })
    next = firstEndBytes
  }

  const cut = (): Piece => {
    const share = Math.ceil((endBytes - next) / (2 * limits.connectionsPerFile))
    const length = Math.min(Math.max(share, limits.minPieceBytes), limits.maxPieceBytes)
    const piece = { at: next, end: Math.min(endBytes, next + length) }
    next = piece.end
    return piece
  }
  return {
    take: (limitBytes) => {
      free.sort((a, b) => a.at - b.at)
      const lowest = free[0]?.at ?? next
      if (lowest >= endBytes || lowest >= limitBytes) return undefined
      const piece = free.shift() ?? cut()
      taken.add(piece)
      return piece
    },
    giveBack: (piece) => {
      taken.delete(piece)
      if (piece.at < piece.end) free.push({ at: piece.at, end: piece.end })
    },
    finish: (piece) => void taken.delete(piece),
    frontierBytes: () => {
      let frontier = next
      for (const piece of taken) frontier = Math.min(frontier, piece.at)
      for (const piece of free) frontier = Math.min(frontier, piece.at)
      return frontier
    },
    arrivedBytes: () => {
      let arrived = next
      for (const { at, end } of [...taken, ...free]) arrived -= end - at
      return arrived
    },
    hasFree: () => free.length > 0 || next < endBytes,
    isComplete: () => next >= endBytes && free.length === 0 && taken.size === 0,
  }
}
