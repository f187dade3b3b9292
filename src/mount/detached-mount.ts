import { CkptdError } from '../model/errors.ts'
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  mountFlags,
  mountSetattr,
  openTreeClone,
  ST_NODEV,
  ST_NOSUID,
  ST_RDONLY,
} from '../os/linux.ts'
import { type Descriptor, descriptor } from './descriptor.ts'

const CLOSED = ST_NOSUID | ST_NODEV
const CLOSED_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV

/**
 * A copy of a mount that is attached nowhere yet. Its attributes are set and then read back
 * while nobody can reach it, so that it is never writable, not for one system call. It is made
 * private, or mounts made at the original's place would appear inside the copy.
 */
export function cloneReadOnly(fd: number, options: { recursive?: boolean } = {}): Descriptor {
  return clone(fd, { ...options, set: CLOSED_ATTRIBUTES | MOUNT_ATTR_RDONLY }, assertReadOnly)
}

/** The same for an output: writable, but its files give nobody rights and name no devices. */
export function cloneWritable(fd: number): Descriptor {
  return clone(fd, { set: CLOSED_ATTRIBUTES }, (tree) => assertFlags(tree, CLOSED))
}

/** Asks the kernel, not the call that set it, whether a mount is read-only, nosuid and nodev. */
export function assertReadOnly(fd: number): void {
  assertFlags(fd, CLOSED | ST_RDONLY)
}

function clone(
  fd: number,
  options: { set: number; recursive?: boolean },
  assertAttributes: (fd: number) => void,
): Descriptor {
  const tree = descriptor(openTreeClone(fd, options))
  try {
    mountSetattr(tree.fd, { ...options, propagation: MS_PRIVATE })
    assertAttributes(tree.fd)
    return tree
  } catch (error) {
    tree[Symbol.dispose]()
    throw error
  }
}

function assertFlags(fd: number, expected: number): void {
  if ((mountFlags(fd) & expected) === expected) return
  throw new CkptdError('mount_failed', 'the kernel did not take the attributes of a mount')
}
