import { type Dir, opendirSync } from 'node:fs'

const scans = new Map<number, Dir>()
let nextId = 1

/** Names handed over at once. */
const PAGE_NAMES = 512

/** Reads a directory of any size a page at a time; an empty page is the last one. */
export const scanHandlers = {
  scanOpen: (path: string): number => {
    const id = nextId++
    scans.set(id, opendirSync(path, { bufferSize: PAGE_NAMES }))
    return id
  },
  scanNext: (id: number): string[] => {
    const dir = scans.get(id)
    if (dir === undefined) return []
    const names: string[] = []
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) {
      names.push(entry.name)
      if (names.length === PAGE_NAMES) return names
    }
    if (names.length === 0) {
      dir.closeSync()
      scans.delete(id)
    }
    return names
  },
}
