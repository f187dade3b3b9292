import { randomBytes } from 'node:crypto'
import { chmod, lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises'
import { isErrno } from '../../os/errno.ts'

/**
 * Removes a tree of the store's own (a view, staging, an output that was handed over), whatever
 * the modes of its directories, without following links. Never more than two levels deep: the
 * directories inside a directory are first moved up beside it, so neither depth nor size costs
 * memory, and no path gets longer than the system takes. Names are bytes: a worker's output may
 * hold names that are not UTF-8. A missing tree is fine.
 */
export async function removeTree(path: string): Promise<void> {
  const root = Buffer.from(path)
  try {
    if (!(await lstat(root)).isDirectory()) return await unlink(root)
    const prefix = `.removing-${randomBytes(8).toString('hex')}-`
    let moved = 0
    await chmod(root, 0o700)
    // A directory that changes while it is read may hide entries: read again until it is empty.
    for (let empty = false; !empty; ) {
      empty = true
      for await (const { child, isDirectory } of children(root)) {
        empty = false
        if (!isDirectory) {
          await unlink(child)
          continue
        }
        await chmod(child, 0o700)
        for await (const inner of children(child)) {
          if (!inner.isDirectory) await unlink(inner.child)
          else {
            await chmod(inner.child, 0o700)
            await rename(inner.child, join(root, Buffer.from(`${prefix}${moved++}`)))
          }
        }
        // Not empty where reading missed something: the next round sees it again.
        await rmdir(child).catch((error: unknown) => {
          if (!isErrno(error, 'ENOTEMPTY')) throw error
        })
      }
    }
    await rmdir(root)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
  }
}

async function* children(
  directory: Buffer,
): AsyncGenerator<{ child: Buffer; isDirectory: boolean }> {
  const reader = await opendir(directory, { encoding: 'buffer' as BufferEncoding })
  for await (const entry of reader)
    yield {
      child: join(directory, entry.name as unknown as Buffer),
      isDirectory: entry.isDirectory(),
    }
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}
