import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout } from './layout.ts'

/** What the damaged files take that were moved aside. */
export async function quarantinedBytes({ quarantine }: Layout): Promise<number> {
  let bytes = 0
  for (const name of await readdir(quarantine)) bytes += (await stat(join(quarantine, name))).size
  return bytes
}
