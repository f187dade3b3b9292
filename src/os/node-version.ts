/**
 * Checked before anything native is imported: better-sqlite3 crashes an older Node.js
 * instead of failing. Kept free of imports for that reason.
 */
export function assertNodeVersion(version: string = process.versions.node): void {
  const major = Number(version.split('.')[0])
  if (major >= 24) return
  process.stderr.write(
    `ckptd needs Node.js 24 or newer and was started with ${version}; run bin/ckptd or bin/ckpt, which find the right one.\n`,
  )
  process.exit(78)
}
