import { type Dir, lstatSync, opendirSync } from 'node:fs'

const scans = new Map<number, Dir>()
let nextId = 1

/** Names handed over at once. */
const PAGE_NAMES = 512

/** Reads a directory of any size a page at a time; an empty page is the last one. */
export const scanHandlers = {
  /** Anything but a directory lists as empty: it is nothing that the store has made. */
  scanOpen: (path: string): number => {
    const id = nextId++
    if (lstatSync(path).isDirectory()) scans.set(id, opendirSync(path, { bufferSize: PAGE_NAMES }))
    return id
  },
  scanNext: (id: number): string[] => {
    const dir = scans.get(id)
    const names: string[] = []
    for (let entry = dir?.readSync(); entry; entry = dir?.readSync()) {
      names.push(entry.name)
      if (names.length === PAGE_NAMES) break
    }
    return names
  },
  scanClose: (id: number): void => {
    scans.get(id)?.closeSync()
    scans.delete(id)
  },
}
