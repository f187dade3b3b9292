import { printable } from './printable.ts'

/** A line of a checkpoint's log with its time in UTC: `2031-04-05 06:07:08Z  Download complete`. */
export function logLine({ time, msg }: { readonly time: number; readonly msg: string }): string {
  const at = new Date(time).toISOString()
  return `${at.slice(0, 10)} ${at.slice(11, 19)}Z  ${printable(msg.trimEnd())}`
}
