import type { MemberPlace } from './member.ts'

/** Follows, in the archive's order, before which member everything is stored. */
export interface StoredFrontier {
  /** Members from this place on are stored when the work succeeds. */
  add(place: { index: number; offset: number | undefined }, work: Promise<unknown>): void
}

/** `onStored` is told each time all members before a place are stored. */
export function storedFrontier(onStored: (place: MemberPlace) => void): StoredFrontier {
  const ahead: { readonly place: MemberPlace; stored: boolean }[] = []
  const settle = (): void => {
    let moved = false
    // The last one stays: where the member behind it begins is not known yet.
    while (ahead.length > 1 && ahead[0]?.stored === true) {
      ahead.shift()
      moved = true
    }
    const [first] = ahead
    if (moved && first !== undefined) onStored(first.place)
  }
  return {
    add: ({ index, offset }, work) => {
      if (offset === undefined) return
      const group = { place: { index, offset }, stored: false }
      ahead.push(group)
      work.then(
        () => {
          group.stored = true
          settle()
        },
        // Whoever stores says that it failed; nothing behind it counts.
        () => undefined,
      )
      settle()
    },
  }
}
