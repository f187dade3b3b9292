import type { BigIntStats } from 'node:fs'
import type { TimeSlice } from './time-slice.ts'
import { walkTree } from './walk-tree.ts'

/** Files with several names that are counted: some 10 MB. What is beyond counts as foreign. */
const MAX_COUNTED = 100_000

export interface LinkCensus {
  /** Whether all files were counted. */
  readonly isComplete: boolean
  /** Whether every name of a file lies in the tree, so that nobody outside has it. */
  isOwn(stat: BigIntStats): boolean
  /** A name of the file in the tree was replaced by something else. */
  forgetName(stat: BigIntStats): void
}

/** Counts, for each regular file with several names, how many of them lie in the tree. */
export async function countLinks(
  rootFd: number,
  slice: TimeSlice,
  maxCounted = MAX_COUNTED,
): Promise<LinkCensus> {
  const names = new Map<string, bigint>()
  let isComplete = true
  await walkTree(
    rootFd,
    {
      entry: ({ stat }) => {
        if (!stat.isFile() || stat.nlink === 1n) return
        const key = keyOf(stat)
        const count = names.get(key)
        if (count !== undefined || names.size < maxCounted) names.set(key, (count ?? 0n) + 1n)
        else isComplete = false
      },
    },
    slice,
  )
  return {
    isComplete,
    isOwn: (stat) => stat.nlink === 1n || stat.nlink === names.get(keyOf(stat)),
    forgetName: (stat) => {
      const count = names.get(keyOf(stat))
      if (count !== undefined) names.set(keyOf(stat), count - 1n)
    },
  }
}

function keyOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`
}
