import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TreeSpec } from '../../support/store.ts'

/** What lies below a directory, in the form in which the tests describe trees. */
export function readTree(root: string, prefix = ''): TreeSpec {
  const tree: Record<string, TreeSpec[string]> = {}
  for (const name of readdirSync(join(root, prefix))) {
    const path = prefix === '' ? name : `${prefix}/${name}`
    const file = join(root, path)
    const stat = lstatSync(file)
    if (stat.isDirectory()) {
      const below = readTree(root, path)
      if (Object.keys(below).length === 0) tree[path] = null
      Object.assign(tree, below)
    } else if (stat.isSymbolicLink()) tree[path] = { link: readlinkSync(file) }
    else {
      const content = readFileSync(file, 'utf8')
      tree[path] = (stat.mode & 0o100) === 0 ? content : { executable: content }
    }
  }
  return tree
}
