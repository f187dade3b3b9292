import { randomFillSync } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { formatBytes } from '../src/model/size-text.ts'
import { LARGE_BYTES, LARGE_FILE_BYTES, LARGE_FILES, SMALL_BYTES, SMALL_FILES } from './sizes.ts'

const PIECE_BYTES = 16 * 1024 * 1024

export interface SampleTree {
  readonly name: 'large' | 'small'
  readonly title: string
  readonly dataBytes: number
  readonly write: (directory: string) => void
}

export const LARGE_TREE: SampleTree = {
  name: 'large',
  title: `${formatBytes(LARGE_BYTES)} in ${LARGE_FILES} files`,
  dataBytes: LARGE_BYTES,
  write: writeLargeTree,
}

/** In 100 directories; of 1 to 7 KiB. */
export const SMALL_TREE: SampleTree = {
  name: 'small',
  title: `${SMALL_FILES} small files`,
  dataBytes: SMALL_BYTES,
  write: writeSmallTree,
}

function writeLargeTree(directory: string): void {
  mkdirSync(directory, { recursive: true })
  for (let n = 0; n < LARGE_FILES; n++)
    writeLargeFile(join(directory, `shard-${n}.safetensors`), LARGE_FILE_BYTES)
}

function writeSmallTree(directory: string): void {
  const bytes = new Uint8Array(7 * 1024)
  for (let n = 0; n < SMALL_FILES; n++) {
    const below = join(directory, `d${n % 100}`)
    if (n < 100) mkdirSync(below, { recursive: true })
    fillLikeWeights(bytes)
    writeFileSync(join(below, `f${n}`), bytes.subarray(0, 1024 + (n % 7) * 1024))
  }
}

/** A file that is as random as those of the trees. */
export function writeLargeFile(file: string, sizeBytes: number): void {
  const piece = new Uint8Array(PIECE_BYTES)
  const fd = openSync(file, 'w')
  try {
    for (let left = sizeBytes; left > 0; ) {
      fillLikeWeights(piece)
      left -= writeSync(fd, piece, 0, Math.min(left, PIECE_BYTES))
    }
  } finally {
    closeSync(fd)
  }
}

/**
 * Random, so that nothing repeats; but of every second byte only four bits are, as the exponents
 * of weights take few values: packed files are then really packed, to about three quarters.
 */
function fillLikeWeights(bytes: Uint8Array): void {
  randomFillSync(bytes)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  for (let n = 0; n < words.length; n++) words[n] = (words[n] ?? 0) & 0x0fff0fff
}
