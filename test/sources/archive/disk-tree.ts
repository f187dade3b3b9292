import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** A directory's tree in the words of `treeOf`. */
export function diskTree(root: string, below = ''): Record<string, string> {
  const tree: Record<string, string> = {}
  for (const name of readdirSync(join(root, below))) {
    const path = below === '' ? name : `${below}/${name}`
    const file = join(root, path)
    const stat = lstatSync(file)
    if (stat.isDirectory()) Object.assign(tree, { [path]: 'dir' }, diskTree(root, path))
    else if (stat.isSymbolicLink()) tree[path] = `-> ${readlinkSync(file)}`
    else tree[path] = `${(stat.mode & 0o100) !== 0 ? 'x ' : ''}${contents(file)}`
  }
  return tree
}

function contents(file: string): string {
  const bytes = readFileSync(file)
  if (bytes.length <= 1024) return bytes.toString('utf8')
  return `${bytes.length}:${createHash('sha256').update(bytes).digest('hex')}`
}
