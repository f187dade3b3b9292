import { readDirectoryRecords } from '../os/linux.ts'

/** A name's bytes, ended by a NUL, and the position right after it for `seekDirectory`. */
export interface DirectoryEntry {
  readonly name: Buffer
  readonly next: bigint
}

/**
 * The entries of an open directory from its present position on, without "." and "..". Names
 * are bytes: a worker may have used any. Memory is one buffer however many there are.
 */
export function* readEntries(fd: number): Generator<DirectoryEntry> {
  const buffer = Buffer.allocUnsafe(8192)
  for (;;) {
    const used = readDirectoryRecords(fd, buffer)
    if (used === 0) return
    // struct linux_dirent64: ino (8 bytes), off (8), reclen (2), type (1), name up to a NUL.
    for (let at = 0; at < used; at += buffer.readUInt16LE(at + 16)) {
      const end = buffer.indexOf(0, at + 19)
      const name = Buffer.from(buffer.subarray(at + 19, end + 1))
      if (!isDots(name)) yield { name, next: buffer.readBigInt64LE(at + 8) }
    }
  }
}

function isDots(name: Buffer): boolean {
  return name[0] === 0x2e && (name[1] === 0 || (name[1] === 0x2e && name[2] === 0))
}

/** A name to show: what is no UTF-8 becomes replacement characters. */
export function showName(name: Buffer): string {
  return JSON.stringify(name.subarray(0, -1).toString('utf8'))
}
