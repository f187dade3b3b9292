import { randomFillSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LARGE_BYTES, LARGE_FILES, SMALL_FILES } from './compare.ts'

/** 8 files of 256 MiB that do not compress and do not repeat. */
export function writeLargeTree(directory: string): void {
  mkdirSync(directory, { recursive: true })
  const bytes = Buffer.alloc(LARGE_BYTES)
  randomFillSync(bytes)
  for (let n = 0; n < LARGE_FILES; n++) {
    bytes.writeUInt32LE(n, 0)
    writeFileSync(join(directory, `shard-${n}.safetensors`), bytes)
  }
}

/** 20,000 files of 1 to 8 KiB in 100 directories. */
export function writeSmallTree(directory: string): void {
  const bytes = Buffer.alloc(8192)
  for (let n = 0; n < SMALL_FILES; n++) {
    const below = join(directory, `d${n % 100}`)
    if (n < 100) mkdirSync(below, { recursive: true })
    randomFillSync(bytes, 0, 64)
    writeFileSync(join(below, `f${n}`), bytes.subarray(0, 1024 + (n % 7) * 1024))
  }
}
