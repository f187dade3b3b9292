import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno } from '../os/errno.ts'
import type { Layout } from './layout.ts'

/** What the damaged files take that were moved aside. */
export async function quarantinedBytes({ quarantine }: Layout): Promise<number> {
  let bytes = 0
  for (const name of await readdir(quarantine)) bytes += await sizeOf(join(quarantine, name))
  return bytes
}

/** An operator may take it away at any time. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0
    throw error
  }
}
