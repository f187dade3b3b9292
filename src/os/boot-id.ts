import { readFileSync } from 'node:fs'

/** Names this boot of the kernel; leases carry it, since a reboot voids every mount. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
