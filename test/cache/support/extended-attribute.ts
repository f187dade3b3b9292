import koffi from 'koffi'

const setxattr = koffi
  .load('libc.so.6')
  .func('int setxattr(str path, str name, str value, size_t size, int flags)')

/** Gives a file an extended attribute of a user's. */
export function setExtendedAttribute(path: string, name: string, value: string): void {
  const result: unknown = setxattr(path, `user.${name}`, value, Buffer.byteLength(value), 0)
  if (result !== 0) throw new Error(`${path} cannot have an extended attribute`)
}
